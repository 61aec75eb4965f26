//! The data path: produce, fetch, and what is asked about offsets and logs.

pub mod delete_records;
pub mod describe_producers;
pub mod fetch;
pub mod list_offsets;
pub mod offset_for_leader_epoch;
pub mod produce;
mod verification;

use super::session::Session;
use crate::base::ids::{BrokerId, NO_LEADER};
use crate::broker::endpoints::Reachable;
use crate::metadata::MetadataImage;

/// Each leader once, as the client may reach it (KIP-951).
fn leaders(session: &Session, image: &MetadataImage, mut leaders: Vec<BrokerId>) -> impl Iterator<Item = Reachable> {
    leaders.sort_unstable();
    leaders.dedup();
    let known = leaders.into_iter().filter(|id| *id != NO_LEADER);
    known.filter_map(|id| session.broker.endpoints.of(image, id, &session.listener, session.local))
}
