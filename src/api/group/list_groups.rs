//! ListGroups: v0–5. The groups this broker coordinates.
//!
//! v3 flexible · v4 filter by state (KIP-518) · v5 filter by type (KIP-848).

use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: ListGroupsRequest) -> Reply<ListGroupsResponse> {
    let version = cx.version();
    let answer = cx.broker().groups.list_groups(&request.states_filter, &request.types_filter);
    Reply::later(async move {
        match answer.await {
            Err(code) => ListGroupsResponse::default().with_error_code(code.code()),
            Ok(mut groups) => {
                for group in &mut groups {
                    if version < 5 {
                        group.group_type = Default::default();
                    }
                    if version < 4 {
                        group.group_state = Default::default();
                    }
                }
                ListGroupsResponse::default().with_groups(groups)
            }
        }
    })
}
