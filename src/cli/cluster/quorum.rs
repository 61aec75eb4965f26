//! `klamm cluster quorum`: what `kafka-metadata-quorum describe` shows.

use clap::Args;
use kafka_protocol::error::ParseResponseErrorCode;
use kafka_protocol::messages::DescribeQuorumRequest;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::{PartitionData as Described, ReplicaState};
use serde::Serialize;

use crate::base::ids::{Offset, TimestampMs};
use crate::base::time::Clock;
use crate::cli::error::{CliError, Result};
use crate::cli::output::{Format, Table, or_dash};
use crate::cli::when;
use crate::client::cluster::topic_name;
use crate::client::{Client, ClientError};

/// Name of the metadata log.
const METADATA: &str = "__cluster_metadata";

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster quorum")]
pub struct Quorum {}

#[derive(Serialize)]
struct Answer {
    leader: i32,
    leader_epoch: i32,
    high_watermark: Offset,
    replicas: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    node: i32,
    /// `leader`, `follower` (a voter), `observer` (reads along).
    role: &'static str,
    log_end_offset: Offset,
    lag: i64,
    last_fetch_timestamp: Option<TimestampMs>,
    last_caught_up_timestamp: Option<TimestampMs>,
}

impl Quorum {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let topic = TopicData::default().with_topic_name(topic_name(METADATA)).with_partitions(vec![PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let response = client.send_controller(&request).await?;
        let refused =
            |code, message: Option<&str>| CliError::from(ClientError::refused_with("the metadata quorum", code, message));
        if let Some(code) = response.error_code.err() {
            return Err(refused(code, response.error_message.as_deref()));
        }
        let partition = response.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let partition = partition.ok_or_else(|| CliError::failed("the broker says nothing about the metadata quorum"))?;
        if let Some(code) = partition.error_code.err() {
            return Err(refused(code, partition.error_message.as_deref()));
        }
        let answer = answer(partition);
        format.print(&answer, || text(&answer))
    }
}

fn answer(partition: Described) -> Answer {
    let leader = partition.leader_id.0;
    let voters = partition.current_voters.iter();
    let end = voters.clone().find(|voter| voter.replica_id.0 == leader).map_or(partition.high_watermark, |l| l.log_end_offset);
    let row = |state: &ReplicaState, role| Row {
        node: state.replica_id.0,
        role,
        log_end_offset: state.log_end_offset,
        lag: (end - state.log_end_offset).max(0),
        last_fetch_timestamp: Some(state.last_fetch_timestamp).filter(|at| *at >= 0),
        last_caught_up_timestamp: Some(state.last_caught_up_timestamp).filter(|at| *at >= 0),
    };
    let voters = voters.map(|state| row(state, if state.replica_id.0 == leader { "leader" } else { "follower" }));
    let observers = partition.observers.iter().map(|state| row(state, "observer"));
    Answer {
        leader,
        leader_epoch: partition.leader_epoch,
        high_watermark: partition.high_watermark,
        replicas: voters.chain(observers).collect(),
    }
}

fn text(answer: &Answer) -> String {
    let now = Clock::system().wall_ms();
    let mut table = Table::new(&[">NODE", "ROLE", ">LOG-END-OFFSET", ">LAG", "LAST-FETCH", "LAST-CAUGHT-UP"]);
    for row in &answer.replicas {
        table.row([
            row.node.to_string(),
            row.role.to_owned(),
            row.log_end_offset.to_string(),
            row.lag.to_string(),
            or_dash(row.last_fetch_timestamp.map(|at| when::ago(at, now))),
            or_dash(row.last_caught_up_timestamp.map(|at| when::ago(at, now))),
        ]);
    }
    let Answer { leader, leader_epoch, high_watermark, .. } = answer;
    format!("leader          {leader}\nleader epoch    {leader_epoch}\nhigh watermark  {high_watermark}\n\n{}", table.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_counts_from_the_leaders_end() {
        let state = |id: i32, end| ReplicaState::default().with_replica_id(id.into()).with_log_end_offset(end);
        let partition = Described::default()
            .with_leader_id(2.into())
            .with_high_watermark(90)
            .with_current_voters(vec![state(1, 95), state(2, 100)])
            .with_observers(vec![state(3, 90)]);
        let rows: Vec<_> = answer(partition).replicas.iter().map(|row| (row.node, row.role, row.lag)).collect();
        assert_eq!(rows, [(1, "follower", 5), (2, "leader", 0), (3, "observer", 10)]);
    }
}
