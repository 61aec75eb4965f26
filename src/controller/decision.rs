//! What a decision is: records to write, and the response to send once they are committed. Or a refusal of the whole request.

use kafka_protocol::protocol::StrBytes;

use crate::base::ErrorCode;
use crate::metadata::MetadataRecord;

/// Records of one request that must be written together, at most (`QuorumController.MAX_RECORDS_PER_USER_OP`).
pub const MAX_RECORDS_PER_USER_OP: usize = 10_000;

#[derive(Debug, PartialEq)]
#[must_use]
pub struct Decision<T> {
    pub records: Vec<MetadataRecord>,
    pub response: T,
    /// All records in one batch, or none: true for what users ask for. What the controller does to many partitions at once may be split.
    pub atomic: bool,
}

impl<T> Decision<T> {
    /// An answer that changes nothing.
    pub fn reply(response: T) -> Self {
        Self { records: Vec::new(), response, atomic: true }
    }

    pub fn atomic(records: Vec<MetadataRecord>, response: T) -> Self {
        Self { records, response, atomic: true }
    }

    pub fn divisible(records: Vec<MetadataRecord>, response: T) -> Self {
        Self { records, response, atomic: false }
    }
}

/// An error as the wire has it. `None` as message lets the client use its own text for the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {}", message.as_deref().unwrap_or_default())]
pub struct ApiError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// The message for a response field.
    pub fn text(&self) -> Option<StrBytes> {
        self.message.clone().map(StrBytes::from_string)
    }

    pub fn too_many_records() -> Self {
        Self::new(ErrorCode::PolicyViolation, "Unable to perform excessively large batch operation.")
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// Error code and message of a response field for an outcome.
pub fn code_and_text<T>(outcome: &Result<T, ApiError>) -> (i16, Option<StrBytes>) {
    match outcome {
        Ok(_) => (0, None),
        Err(error) => (error.code.code(), error.text()),
    }
}
