//! DeleteGroups: v0–2. Removes empty groups with all they have committed. v2 flexible.

use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::api::distinct::distinct;
use crate::api::reply::Reply;
use crate::api::session::Context;

pub fn handle(cx: &Context, request: DeleteGroupsRequest) -> Reply<DeleteGroupsResponse> {
    let groups = distinct(request.groups_names, Clone::clone).into_iter().map(|group| group.0).collect();
    let answer = cx.broker().groups.delete_groups(groups);
    Reply::later(async move { DeleteGroupsResponse::default().with_results(answer.await) })
}
