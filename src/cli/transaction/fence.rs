//! `klamm transaction fence`: what `Admin.fenceProducers` does.

use clap::Args;
use serde::Serialize;

use super::explain;
use crate::base::ids::{ProducerEpoch, ProducerId};
use crate::cli::error::{CliError, Result};
use crate::cli::outcome::{Outcome, conclude};
use crate::cli::output::Format;
use crate::client::{Client, ClientError};

#[derive(Args)]
#[command(
    after_help = "A producer that still runs with the id is refused from now on: with PRODUCER_FENCED by the coordinator, with INVALID_PRODUCER_EPOCH by a partition.

Examples:
  klamm transaction fence payments-1
  klamm transaction fence payments-1 payments-2"
)]
pub struct Fence {
    /// Transactional ids whose producers are fenced
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

#[derive(Serialize)]
struct Fenced {
    producer_id: ProducerId,
    /// The epoch that fences those before it.
    producer_epoch: ProducerEpoch,
}

impl Fence {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let mut outcomes = Vec::new();
        for id in &self.ids {
            outcomes.push(Outcome { name: id.clone(), result: fence(client, id).await });
        }
        let concluded = conclude(format, "transactional ids", outcomes, |id, _| format!("Fenced the producer of {id}."));
        match concluded {
            Err(CliError::Client(error)) if self.ids.len() == 1 => Err(explain(client, &self.ids[0], error).await),
            other => other,
        }
    }
}

/// An id that is not there stays so: to take it would make it.
async fn fence(client: &Client, id: &str) -> Result<Fenced, ClientError> {
    client.describe_transaction(id).await?;
    let (producer_id, producer_epoch) = client.fence_producer(id).await?;
    Ok(Fenced { producer_id, producer_epoch })
}
