//! Asking the leaders of many partitions, all at once, and again where leadership has moved.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;

use super::cluster::{Client, Topics};
use super::connection::Connection;
use super::error::ClientError;
use crate::base::ErrorCode;
use crate::base::ids::{BrokerId, TopicPartition};

/// What each partition's leader said.
pub type PerPartition<A> = BTreeMap<TopicPartition, Result<A, ErrorCode>>;

impl Client {
    /// Groups partitions by their leaders. A partition that has none, or does not exist, comes back with the reason.
    pub async fn leaders_of<Q>(
        &self,
        wanted: impl IntoIterator<Item = (TopicPartition, Q)>,
    ) -> Result<(BTreeMap<BrokerId, Vec<(TopicPartition, Q)>>, Vec<(TopicPartition, Q, ErrorCode)>), ClientError> {
        let wanted: Vec<_> = wanted.into_iter().collect();
        let mut names: Vec<&str> = wanted.iter().map(|(partition, _)| &*partition.topic).collect();
        names.sort_unstable();
        names.dedup();
        let metadata = self.metadata(Topics::Named(&names), false).await?;
        let (mut led, mut lost) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
        for (partition, question) in wanted {
            let topic = metadata.topics.get(&*partition.topic);
            let found = topic.and_then(|topic| topic.partitions.iter().find(|p| p.partition == partition.partition));
            match (topic.and_then(|topic| topic.error), found.and_then(|p| p.leader)) {
                (Some(error), _) => lost.push((partition, question, error)),
                (None, Some(leader)) => led.entry(leader).or_default().push((partition, question)),
                (None, None) if found.is_some() => lost.push((partition, question, ErrorCode::LeaderNotAvailable)),
                (None, None) => lost.push((partition, question, ErrorCode::UnknownTopicOrPartition)),
            }
        }
        Ok((led, lost))
    }

    /// Asks every partition's leader. A refusal that may pass is asked again until the deadline of one operation; the answer has a row for
    /// each partition asked for.
    pub async fn ask_leaders<Q: Clone, A>(
        &self,
        wanted: Vec<(TopicPartition, Q)>,
        ask: impl AsyncFn(Arc<Connection>, Vec<(TopicPartition, Q)>) -> Result<PerPartition<A>, ClientError>,
    ) -> Result<PerPartition<A>, ClientError> {
        let mut retry = self.retry();
        let mut answers = PerPartition::new();
        let mut open = wanted;
        loop {
            let (led, lost) = self.leaders_of(open.drain(..)).await?;
            let mut passing = None;
            for (partition, question, code) in lost {
                // A partition nobody has heard of is a mistake of the asker, whatever Kafka's table of errors says.
                if code == ErrorCode::LeaderNotAvailable {
                    passing = Some(ClientError::refused(partition.to_string(), code));
                    open.push((partition.clone(), question));
                }
                answers.insert(partition, Err(code));
            }
            let asked = led.into_iter().map(|(leader, questions)| {
                let ask = &ask;
                async move {
                    let answer = match self.broker(leader).await {
                        Ok(connection) => ask(connection, questions.clone()).await,
                        Err(error) => Err(error),
                    };
                    (questions, answer)
                }
            });
            for (questions, answer) in join_all(asked).await {
                let mut rows = match answer {
                    Ok(rows) => rows,
                    Err(error) if error.is_retriable() => {
                        passing = Some(error);
                        open.extend(questions);
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                for (partition, question) in questions {
                    let row = rows.remove(&partition).unwrap_or(Err(ErrorCode::UnknownServerError));
                    if let Err(code) = &row
                        && code.is_retriable()
                    {
                        passing = Some(ClientError::refused(partition.to_string(), *code));
                        open.push((partition.clone(), question));
                    }
                    answers.insert(partition, row);
                }
            }
            match passing {
                None => return Ok(answers),
                Some(error) => match retry.after(error).await {
                    Ok(()) => {}
                    // What was refused to the end is in the answers already; what was never answered is not.
                    Err(error) if open.iter().any(|(partition, _)| !answers.contains_key(partition)) => return Err(error),
                    Err(_) => return Ok(answers),
                },
            }
        }
    }
}
