//! What a fetch of several partitions gives of each.

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchTopic;

use crate::support::TestNode;
use crate::support::everyday::{batch, error, fetch_request, topic_name};

/// KIP-74: the first batch of the first partition that has any is given whole, however large; one that does not fit behind it is not given at
/// all. A client takes a part of one for a partition that it will never get on with.
#[test]
fn a_batch_that_does_not_fit_waits_for_the_next_fetch() {
    let node = TestNode::start(&[]);
    let mut client = node.connect();
    for topic in ["one", "two"] {
        client.make_topic(topic);
        client.try_produce(topic, 0, -1, batch(&[&[7; 300_000]])).unwrap();
        client.try_produce(topic, 0, -1, batch(&[b"small"])).unwrap();
    }
    let mut both = fetch_request("one", 0, 0, 100_000).with_max_bytes(1 << 20);
    let two = both.topics[0].partitions.clone();
    both.topics.push(FetchTopic::default().with_topic(topic_name("two")).with_partitions(two));
    let mut sizes = |request: &FetchRequest| {
        let response = client.call(11, request);
        let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
        let sizes = partitions.map(|partition| {
            assert_eq!((error(partition.error_code), partition.high_watermark), (None, 2));
            partition.records.map_or(0, |records| records.len())
        });
        sizes.collect::<Vec<_>>()
    };
    let first = sizes(&both);
    assert!(first[0] > 300_000 && first[1] == 0, "{first:?}");
    both.topics.remove(0);
    let second = sizes(&both);
    assert!(second[0] > 300_000, "{second:?}");
}
