//! DeleteTopics: v1–6 (`ControllerApis.deleteTopics`, `ReplicationControlManager.deleteTopics`).
//! v4 flexible · v5 error messages, THROTTLING_QUOTA_EXCEEDED (KIP-599) · v6 by topic id (KIP-516)
//!
//! One record removes a topic with all its partitions; brokers delete the logs when they see it.

use std::collections::BTreeSet;

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use uuid::Uuid;

use super::Controller;
use super::create_topics::duplicate_names;
use super::decision::{ApiError, Decision, MAX_RECORDS_PER_USER_OP};
use crate::base::ErrorCode;
use crate::base::ids::TopicId;
use crate::metadata::{MetadataImage, MetadataRecord};

impl Controller {
    /// `version` tells what to answer when deletion is turned off.
    ///
    /// # Errors
    /// TOPIC_DELETION_DISABLED, or INVALID_REQUEST before v3, if topics may not be deleted at all.
    pub fn delete_topics(
        &mut self,
        draft: &MetadataImage,
        request: &DeleteTopicsRequest,
        version: i16,
    ) -> Result<Decision<DeleteTopicsResponse>, ApiError> {
        if !self.config.log.delete_topic_enable {
            return Err(match version {
                ..3 => ApiError::new(ErrorCode::InvalidRequest, "Topic deletion is disabled."),
                _ => ErrorCode::TopicDeletionDisabled.into(),
            });
        }
        let mut deletion = Deletion { draft, records: Vec::new(), results: Vec::new(), chosen: BTreeSet::new() };
        deletion.run(request);
        let Deletion { records, results, .. } = deletion;
        if records.len() > MAX_RECORDS_PER_USER_OP {
            return Err(ApiError::too_many_records());
        }
        Ok(Decision::atomic(records, DeleteTopicsResponse::default().with_responses(results)))
    }
}

struct Deletion<'a> {
    draft: &'a MetadataImage,
    records: Vec<MetadataRecord>,
    results: Vec<DeletableTopicResult>,
    chosen: BTreeSet<TopicId>,
}

impl Deletion<'_> {
    fn run(&mut self, request: &DeleteTopicsRequest) {
        let invalid = |message: &str| Err(ApiError::new(ErrorCode::InvalidRequest, message));
        let mut names: Vec<&TopicName> = request.topic_names.iter().collect();
        let mut ids: Vec<TopicId> = Vec::new();
        for topic in &request.topics {
            match (&topic.name, topic.topic_id) {
                (None, id) if id.is_nil() => self.answer(None, id, invalid("Neither topic name nor id were specified.")),
                (None, id) => ids.push(id),
                (Some(name), id) if id.is_nil() => names.push(name),
                (Some(name), id) => self.answer(Some(name), id, invalid("You may not specify both topic name and topic id.")),
            }
        }
        let duplicate_names: BTreeSet<String> =
            duplicate_names(names.iter().map(|n| &*n.0)).into_iter().map(str::to_owned).collect();
        for name in &duplicate_names {
            self.answer(Some(&TopicName(name.clone().into())), Uuid::nil(), invalid("Duplicate topic name."));
        }
        let mut seen = BTreeSet::new();
        let duplicate_ids: BTreeSet<TopicId> = ids.iter().copied().filter(|id| !seen.insert(*id)).collect();
        for id in &duplicate_ids {
            self.answer(None, *id, invalid("Duplicate topic id."));
        }
        for id in ids.into_iter().filter(|id| !duplicate_ids.contains(id)) {
            match self.draft.topic_by_id(id) {
                Some(topic) => self.delete(Some(TopicName(topic.name.to_string().into())), id),
                None => {
                    let unknown = ApiError::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.");
                    self.answer(None, id, Err(unknown));
                }
            }
        }
        for name in names.into_iter().filter(|name| !duplicate_names.contains(&*name.0)) {
            match self.draft.topics().id_of(&name.0) {
                None => {
                    let message = "This server does not host this topic-partition.";
                    self.answer(Some(name), Uuid::nil(), Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, message)));
                }
                Some(id) if duplicate_ids.contains(&id) || self.chosen.contains(&id) => {
                    self.unchoose(id);
                    self.answer(Some(name), id, invalid("The provided topic name maps to an ID that was already supplied."));
                }
                Some(id) => self.delete(Some(name.clone()), id),
            }
        }
    }

    fn delete(&mut self, name: Option<TopicName>, id: TopicId) {
        self.chosen.insert(id);
        self.records.push(MetadataRecord::RemoveTopic { topic_id: id });
        self.answer(name.as_ref(), id, Ok(()));
    }

    /// A topic named in two ways is not deleted, and answered once.
    fn unchoose(&mut self, id: TopicId) {
        if self.chosen.remove(&id) {
            self.records.retain(|r| !matches!(r, MetadataRecord::RemoveTopic { topic_id } if *topic_id == id));
            self.results.retain(|r| r.topic_id != id);
        }
    }

    fn answer(&mut self, name: Option<&TopicName>, id: TopicId, outcome: Result<(), ApiError>) {
        let (code, text) = super::decision::code_and_text(&outcome);
        self.results.push(
            DeletableTopicResult::default()
                .with_name(name.cloned())
                .with_topic_id(id)
                .with_error_code(code)
                .with_error_message(text),
        );
    }
}

#[cfg(test)]
mod tests;
