//! DescribeGroups: v0–6. Groups with their members and what those are assigned.
//!
//! v3 authorized operations (KIP-430) · v4 static members (KIP-345) · v5 flexible · v6 GROUP_ID_NOT_FOUND with a message (KIP-1043).

use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::api::distinct::distinct;
use crate::api::reply::Reply;
use crate::api::session::Context;

/// READ 3, DELETE 6, DESCRIBE 8, DESCRIBE_CONFIGS 10, ALTER_CONFIGS 11: without an authorizer everybody may do everything.
const ALL_GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

pub fn handle(cx: &Context, request: DescribeGroupsRequest) -> Reply<DescribeGroupsResponse> {
    let version = cx.version();
    let operations = version >= 3 && request.include_authorized_operations;
    let groups: Vec<StrBytes> = distinct(request.groups, |group| group.clone()).into_iter().map(|group| group.0).collect();
    let answer = cx.broker().groups.describe_groups(version, groups);
    Reply::later(async move {
        let mut groups = answer.await;
        for group in &mut groups {
            if version < 6 {
                group.error_message = None;
            }
            if version < 4 {
                group.members.iter_mut().for_each(|member| member.group_instance_id = None);
            }
            if operations && group.error_code == 0 {
                group.authorized_operations = ALL_GROUP_OPERATIONS;
            }
        }
        DescribeGroupsResponse::default().with_groups(groups)
    })
}
