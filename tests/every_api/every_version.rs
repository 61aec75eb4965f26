//! Every version of every API that klamm tells of is answered: with something that can be decoded, to the right request, on a connection
//! that lives on. A connection that is closed instead is how a response looks that could not be encoded, and how a client would see it.

use std::fmt::Debug;

use kafka_protocol::messages::{ApiVersionsRequest, ProduceRequest};
use klamm::api::table;
use klamm::protocol::{ApiRequest, shape};

use crate::node::{Client, TestNode};
use crate::protocol_support::{Visit, dream, encode, versions, visit_every_request};

/// Ids that a random request does not hit, so that it cannot unregister the node that answers it.
const NODE: &[&str] = &["node.id=100000", "group.initial.rebalance.delay.ms=0"];

/// Asks every API in every version with the request that a seed gives.
struct Ask<'a> {
    client: &'a mut Client,
    /// `None` is the default request.
    seed: Option<u64>,
    asked: usize,
}

impl Visit for Ask<'_> {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + Default + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        // Whether Produce is answered at all depends on its acks.
        let Some(api) = table::find(R::KEY).filter(|api| api.key != <ProduceRequest as ApiRequest>::KEY) else { return };
        assert_eq!(api.min..=api.max, versions::<R>(), "{}: the table promises what can be decoded, all of it", api.name);
        for version in versions::<R>() {
            let request = match self.seed {
                None => R::default(),
                Some(seed) => lawful(seed ^ (R::KEY as u64) << 32 ^ version as u64, version),
            };
            self.asked += 1;
            if let Err(why) = self.client.try_call(version, &request) {
                panic!("{} version {version}: {why}\nasked: {request:#?}", api.name);
            }
        }
    }
}

/// A random request without nulls where its version allows none: those are answered by hanging up, as Kafka does.
fn lawful<R: ApiRequest>(seed: u64, version: i16) -> R {
    let dreams = (0u64..).map(|n| dream::<R>(seed.wrapping_add(n << 48), version));
    let mut lawful = dreams.filter(|request| shape::check(R::KEY, version, &encode(request, version)).is_ok());
    lawful.next().expect("dreams do not end")
}

fn ask_all(client: &mut Client, seed: Option<u64>) {
    let mut ask = Ask { client, seed, asked: 0 };
    visit_every_request(&mut ask);
    let versions: usize = table::APIS.iter().filter(|a| a.key != 0).map(|a| (a.max - a.min + 1) as usize).sum();
    assert_eq!(ask.asked, versions, "rows of the table without a request");
}

#[test]
fn empty_requests_are_answered() {
    let node = TestNode::start(NODE);
    ask_all(&mut node.connect(), None);
}

#[test]
fn requests_with_every_field_are_answered() {
    let node = TestNode::start(NODE);
    let mut client = node.connect();
    for seed in 0..20 {
        ask_all(&mut client, Some(seed));
    }
    client.call(0, &ApiVersionsRequest::default());
}
