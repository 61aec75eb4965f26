//! BrokerHeartbeat (`ReplicationControlManager.processBrokerHeartbeat`): keeps a broker's session, and moves it between fenced, unfenced and
//! shutting down.

use kafka_protocol::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use super::Controller;
use super::broker_heartbeat_manager::{BrokerControlState, Wish};
use super::decision::Decision;
use crate::base::time::Mono;
use crate::metadata::MetadataImage;

impl Controller {
    pub fn broker_heartbeat(
        &mut self,
        draft: &MetadataImage,
        now: Mono,
        request: &BrokerHeartbeatRequest,
    ) -> Decision<BrokerHeartbeatResponse> {
        let id = request.broker_id.0;
        let broker = match Self::check_broker_epoch(draft, id, request.broker_epoch) {
            Ok(broker) => broker,
            Err(error) => return Decision::reply(BrokerHeartbeatResponse::default().with_error_code(error.code.code())),
        };
        let wish = Wish {
            fence: request.want_fence,
            shut_down: request.want_shut_down,
            metadata_offset: request.current_metadata_offset,
        };
        let leads = || draft.topics().iter_by_id().any(|t| t.partitions.iter().any(|p| p.leader == id));
        let (state, next) = self.heartbeats.next_state(id, wish, broker.registered_at, leads);
        let mut records = Vec::new();
        if state != next {
            tracing::info!(broker = id, ?state, ?next, "a broker changes its state");
            match next {
                BrokerControlState::Fenced | BrokerControlState::ShutdownNow => self.fence(draft, id, &mut records),
                BrokerControlState::Unfenced => self.unfence(draft, broker, &mut records),
                BrokerControlState::ControlledShutdown => self.begin_controlled_shutdown(draft, broker, &mut records),
            }
        }
        self.heartbeats.touch(id, next.is_fenced(), request.current_metadata_offset, now);
        self.directories_offline(draft, broker, &request.offline_log_dirs, &mut records);
        if next == BrokerControlState::ControlledShutdown {
            // Others must have read the entry that these records go into.
            self.heartbeats.begin_controlled_shutdown(id, draft.offset() + 1);
        }
        let response = BrokerHeartbeatResponse::default()
            .with_is_caught_up(request.current_metadata_offset >= broker.registered_at)
            .with_is_fenced(next.is_fenced())
            .with_should_shut_down(next == BrokerControlState::ShutdownNow);
        Decision::divisible(records, response)
    }
}

#[cfg(test)]
mod tests;
