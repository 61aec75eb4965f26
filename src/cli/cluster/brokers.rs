//! `klamm cluster brokers`.

use clap::Args;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::DescribeClusterRequest;
use serde::Serialize;

use crate::base::ids::BrokerId;
use crate::cli::error::Result;
use crate::cli::output::{Format, Table, or_dash};
use crate::client::cluster::Topics;
use crate::client::metadata::ClusterMetadata;
use crate::client::{Client, ClientError};

/// First version that tells of brokers that are registered but not serving (KIP-1073).
const FENCED: i16 = 2;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster brokers")]
pub struct Brokers {}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    id: BrokerId,
    host: String,
    port: u16,
    rack: Option<String>,
    /// Takes administrative requests.
    controller: bool,
    /// Registered, but not serving.
    fenced: bool,
    leads: usize,
    replicas: usize,
    /// Replicas that have fallen behind.
    out_of_sync: usize,
}

impl Brokers {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let metadata = client.metadata(Topics::All, false).await?;
        let mut rows: Vec<Row> = metadata.brokers.keys().map(|id| row(&metadata, *id)).collect();
        rows.extend(fenced(client, &metadata).await?);
        rows.sort_by_key(|row| row.id);
        format.print(&rows, || table(&rows))
    }
}

fn row(metadata: &ClusterMetadata, id: BrokerId) -> Row {
    let broker = &metadata.brokers[&id];
    let partitions = || metadata.topics.values().flat_map(|topic| &topic.partitions);
    Row {
        id,
        host: broker.address.host.clone(),
        port: broker.address.port,
        rack: broker.rack.clone(),
        controller: metadata.controller == Some(id),
        fenced: false,
        leads: partitions().filter(|p| p.leader == Some(id)).count(),
        replicas: partitions().filter(|p| p.replicas.contains(&id)).count(),
        out_of_sync: partitions().filter(|p| p.replicas.contains(&id) && !p.isr.contains(&id)).count(),
    }
}

/// Brokers that metadata keeps quiet about. Older clusters keep quiet about them altogether.
async fn fenced(client: &Client, metadata: &ClusterMetadata) -> Result<Vec<Row>> {
    let connection = client.any().await?;
    let Ok(version) = connection.version_of::<DescribeClusterRequest>() else { return Ok(Vec::new()) };
    if version < FENCED {
        return Ok(Vec::new());
    }
    let request = DescribeClusterRequest::default().with_endpoint_type(1).with_include_fenced_brokers(true);
    let response = connection.send_version(&request, version).await?;
    if let Some(code) = response.error_code.err() {
        return Err(ClientError::refused_with("the brokers", code, response.error_message.as_deref()).into());
    }
    let partitions = || metadata.topics.values().flat_map(|topic| &topic.partitions);
    let hidden = response.brokers.into_iter().filter(|broker| !metadata.brokers.contains_key(&broker.broker_id.0));
    Ok(hidden
        .map(|broker| {
            let id = broker.broker_id.0;
            let replicas = partitions().filter(|p| p.replicas.contains(&id)).count();
            Row {
                id,
                host: broker.host.to_string(),
                port: u16::try_from(broker.port).unwrap_or(0),
                rack: broker.rack.map(|rack| rack.to_string()),
                controller: false,
                fenced: true,
                leads: 0,
                replicas,
                out_of_sync: replicas,
            }
        })
        .collect())
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new(&[">ID", "HOST", ">PORT", "RACK", ">LEADS", ">REPLICAS", ">OUT-OF-SYNC", "STATE"]);
    for row in rows {
        let state = match (row.fenced, row.controller) {
            (true, _) => "fenced",
            (_, true) => "controller",
            _ => "ok",
        };
        table.row([
            row.id.to_string(),
            row.host.clone(),
            row.port.to_string(),
            or_dash(row.rack.as_ref()),
            row.leads.to_string(),
            row.replicas.to_string(),
            row.out_of_sync.to_string(),
            state.to_owned(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Address;
    use crate::client::metadata::{Broker, Partition, Topic};

    #[test]
    fn a_broker_leads_some_and_holds_more() {
        let mut metadata = ClusterMetadata { controller: Some(2), ..Default::default() };
        for id in [1, 2] {
            metadata.brokers.insert(id, Broker { address: Address::new("b", 9092), rack: None });
        }
        let partition = |leader, isr: &[i32]| Partition { leader, replicas: vec![1, 2], isr: isr.to_vec(), ..Default::default() };
        let partitions = vec![partition(Some(1), &[1, 2]), partition(Some(1), &[1]), partition(None, &[])];
        metadata.topics.insert("t".into(), Topic { name: "t".into(), partitions, ..Default::default() });
        let counts = |id| (row(&metadata, id).leads, row(&metadata, id).replicas, row(&metadata, id).out_of_sync);
        assert_eq!((counts(1), counts(2)), ((2, 3, 1), (0, 3, 2)));
        assert!(row(&metadata, 2).controller && !row(&metadata, 1).controller);
    }
}
