//! Producer ids, given out one by one from blocks that the controller allocates (KIP-730; `RPCProducerIdManager`).
//!
//! Invariant: no id is given out twice in the life of the cluster, whatever crashes: a block is used only after its allocation is committed,
//! and what is left of one when the broker stops is never used.

use std::ops::Range;

use kafka_protocol::messages::{AllocateProducerIdsRequest, BrokerId};
use tokio::sync::Mutex;

use super::Broker;
use crate::base::ErrorCode;
use crate::base::ids::ProducerId;

/// The rest of the block in use.
#[derive(Default)]
pub struct ProducerIds {
    /// Held across the request for a new block, so that only one is asked for at a time.
    rest: Mutex<Range<ProducerId>>,
}

impl Broker {
    /// A producer id that nobody ever had. COORDINATOR_NOT_AVAILABLE, on which clients try again, if no block can be had now.
    pub async fn next_producer_id(&self) -> Result<ProducerId, ErrorCode> {
        let mut rest = self.producer_ids.rest.lock().await;
        if rest.is_empty() {
            let epoch = self.metadata.image().broker(self.id).map_or(-1, |b| b.epoch);
            let request = AllocateProducerIdsRequest::default().with_broker_id(BrokerId(self.id)).with_broker_epoch(epoch);
            let response =
                self.controller.allocate_producer_ids(request).await.map_err(|_| ErrorCode::CoordinatorNotAvailable)?;
            if response.error_code != 0 {
                return Err(ErrorCode::CoordinatorNotAvailable);
            }
            let first = response.producer_id_start.0;
            *rest = first..first + ProducerId::from(response.producer_id_len);
        }
        Ok(rest.next().expect("it was just filled"))
    }
}
