//! `klamm transaction abort`.

use clap::Args;
use serde::Serialize;

use crate::base::ids::{Offset, ProducerEpoch, ProducerId};
use crate::cli::connect::meant_partitions;
use crate::cli::error::{CliError, Result};
use crate::cli::output::Format;
use crate::cli::partitions::TopicPartitions;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(after_help = "Writes the end of the transaction to the partition, past its coordinator: only for one that
'klamm transaction find-hanging' has found. A transaction whose coordinator knows of it is aborted with
'klamm transaction fence'.

Examples:
  klamm transaction abort orders:0 --start-offset 1234 --dry-run
  klamm transaction abort orders:0 --start-offset 1234")]
pub struct Abort {
    /// Topic and partition
    #[arg(value_name = "TOPIC:PARTITION")]
    partition: TopicPartitions,
    /// Offset at which the transaction begins
    #[arg(long, value_name = "OFFSET")]
    start_offset: Offset,
    /// Look whether there is such a transaction, without aborting it
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Aborted {
    topic: String,
    partition: i32,
    start_offset: Offset,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    aborted: bool,
}

impl Abort {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let partitions = match &self.partition.partitions {
            Some(partitions) if partitions.len() == 1 => meant_partitions(client, &[self.partition]).await?,
            _ => return Err(CliError::Usage("one partition is to be named, as in orders:0".into())),
        };
        let partition = &partitions[0];
        let mut answers = client.describe_producers(partitions.clone()).await?;
        let producers = match answers.remove(partition) {
            Some(Err(code)) => return Err(ClientError::refused(partition.to_string(), code).into()),
            answer => answer.and_then(Result::ok).unwrap_or_default(),
        };
        let Some(producer) = producers.iter().find(|it| it.transaction_start_offset == Some(self.start_offset)) else {
            let message = format!("no open transaction begins at offset {} of {partition}", self.start_offset);
            let tip = format!("'klamm transaction producers {}:{}' shows those there are", partition.topic, partition.partition);
            return Err(CliError::failed_with_tip(message, tip));
        };
        if !self.dry_run {
            client.abort_transaction(partition, producer).await?;
        }
        let aborted = Aborted {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            start_offset: self.start_offset,
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            aborted: !self.dry_run,
        };
        let what =
            format!("the transaction of producer {} from offset {} of {partition}", aborted.producer_id, self.start_offset);
        format.print(&aborted, || match self.dry_run {
            false => format!("Aborted {what}.\n"),
            true => format!("Would abort {what}.\n"),
        })
    }
}
