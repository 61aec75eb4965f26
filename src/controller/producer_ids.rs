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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::World;

    #[test]
    fn blocks_follow_one_another_and_only_for_the_present_incarnation() {
        let mut world = World::new(&[1]);
        for start in [0, 1000, 2000] {
            let request = AllocateProducerIdsRequest::default().with_broker_id(1.into()).with_broker_epoch(world.epoch_of(1));
            let decision = world.controller.allocate_producer_ids(&world.image, &request);
            let block = world.take(decision);
            assert_eq!((block.error_code, block.producer_id_start.0, block.producer_id_len), (0, start, 1000));
        }
        let stale = AllocateProducerIdsRequest::default().with_broker_id(1.into()).with_broker_epoch(world.epoch_of(1) - 1);
        let decision = world.controller.allocate_producer_ids(&world.image, &stale);
        assert_eq!(decision.response.error_code, ErrorCode::StaleBrokerEpoch.code());
        assert!(decision.records.is_empty());
    }

    #[test]
    fn ids_run_out_without_turning_over() {
        let mut world = World::new(&[1]);
        world.take(Decision::atomic(
            vec![MetadataRecord::ProducerIds { broker_id: 1, broker_epoch: 1, next: i64::MAX - 999 }],
            (),
        ));
        let request = AllocateProducerIdsRequest::default().with_broker_id(1.into()).with_broker_epoch(world.epoch_of(1));
        let decision = world.controller.allocate_producer_ids(&world.image, &request);
        assert_eq!(decision.response.error_code, ErrorCode::UnknownServerError.code());
    }
}
