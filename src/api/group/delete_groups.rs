//! DeleteGroups: v0–2. Removes empty groups with all they have committed. v2 flexible.

use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: DeleteGroupsRequest) -> Reply<DeleteGroupsResponse> {
    let mut groups: Vec<StrBytes> = Vec::new();
    for group in request.groups_names {
        if !groups.contains(&group.0) {
            groups.push(group.0);
        }
    }
    let answer = cx.broker().groups.delete_groups(groups);
    Reply::later(async move { DeleteGroupsResponse::default().with_results(answer.await) })
}
