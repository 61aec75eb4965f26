//! `klamm cluster info`.

use clap::Args;
use serde::Serialize;

use crate::cli::error::Result;
use crate::cli::output::{Format, or_dash};
use crate::client::Client;
use crate::client::cluster::Topics;

#[derive(Args)]
#[command(after_help = "Examples:
  klamm cluster info
  klamm cluster info --output json")]
pub struct Info {}

#[derive(Serialize)]
struct Answer {
    cluster_id: Option<String>,
    controller: Option<i32>,
    brokers: usize,
    topics: usize,
    partitions: usize,
    under_replicated: usize,
    leaderless: usize,
    /// Level of the metadata, which tells the release of Kafka that the cluster behaves like.
    metadata_version: Option<i16>,
}

impl Info {
    pub async fn run(self, client: &Client, format: Format) -> Result {
        let metadata = client.metadata(Topics::All, false).await?;
        let versions = client.any().await?.versions().clone();
        let partitions = || metadata.topics.values().flat_map(|topic| &topic.partitions);
        let answer = Answer {
            cluster_id: metadata.cluster_id.clone(),
            controller: metadata.controller,
            brokers: metadata.brokers.len(),
            topics: metadata.topics.len(),
            partitions: partitions().count(),
            under_replicated: partitions().filter(|p| p.is_under_replicated()).count(),
            leaderless: partitions().filter(|p| p.leader.is_none()).count(),
            metadata_version: versions.finalized_features.get("metadata.version").map(|levels| levels.max),
        };
        format.print(&answer, || {
            format!(
                "cluster id        {}\ncontroller        {}\nbrokers           {}\ntopics            {}\npartitions        {}\n\
                 under-replicated  {}\nwithout leader    {}\nmetadata version  {}\n",
                or_dash(answer.cluster_id.as_ref()),
                or_dash(answer.controller),
                answer.brokers,
                answer.topics,
                answer.partitions,
                answer.under_replicated,
                answer.leaderless,
                or_dash(answer.metadata_version),
            )
        })
    }
}
