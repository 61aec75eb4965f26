//! AllocateProducerIds: v0 (`ProducerIdControlManager`, KIP-730). Brokers get producer ids in blocks, and give them out one by one.

use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerId};

use super::Controller;
use super::decision::{ApiError, Decision};
use crate::base::ErrorCode;
use crate::metadata::{MetadataImage, MetadataRecord};

/// Ids in a block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const BLOCK_SIZE: i32 = 1_000;

impl Controller {
    pub fn allocate_producer_ids(
        &mut self,
        draft: &MetadataImage,
        request: &AllocateProducerIdsRequest,
    ) -> Decision<AllocateProducerIdsResponse> {
        allocate(draft, request).unwrap_or_else(|error| {
            tracing::warn!(broker = request.broker_id.0, %error, "refused a block of producer ids");
            Decision::reply(AllocateProducerIdsResponse::default().with_error_code(error.code.code()))
        })
    }
}

/// # Errors
/// STALE_BROKER_EPOCH; UNKNOWN_SERVER_ERROR when all 2⁶³ ids have been given out.
fn allocate(
    draft: &MetadataImage,
    request: &AllocateProducerIdsRequest,
) -> Result<Decision<AllocateProducerIdsResponse>, ApiError> {
    let (broker_id, broker_epoch) = (request.broker_id.0, request.broker_epoch);
    Controller::check_broker_epoch(draft, broker_id, broker_epoch)?;
    let start = draft.next_producer_id();
    let Some(next) = start.checked_add(BLOCK_SIZE.into()) else {
        let message = "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit";
        return Err(ApiError::new(ErrorCode::UnknownServerError, message));
    };
    let record = MetadataRecord::ProducerIds { broker_id, broker_epoch, next };
    let response =
        AllocateProducerIdsResponse::default().with_producer_id_start(ProducerId(start)).with_producer_id_len(BLOCK_SIZE);
    Ok(Decision::atomic(vec![record], response))
}
