//! What readers of committed records get of a log of many segments, from every offset, before and after its start was moved, and across
//! kill −9: exactly what was committed.

use kafka_protocol::messages::fetch_response::AbortedTransaction;
use klamm::base::ErrorCode;
use klamm::record::batches::batches;
use klamm::record::records::records;

use crate::by_hand::*;
use crate::support::Client;
use crate::support::everyday::{error, fetch_request};
use crate::support::process::{BrokerProcess, Launch};

const SETTINGS: &[&str] = &["log.segment.bytes=1048576", "transaction.state.log.num.partitions=1"];
/// A segment takes seven of them.
const VALUE_LEN: usize = 150_000;

/// Everything at read_committed from an offset on, in fetches of a few records each.
fn committed_from(client: &mut Client, mut offset: i64) -> Vec<(i64, String)> {
    let mut values = Vec::new();
    loop {
        let response = client.call(11, &fetch_request("t", 0, offset, 400_000).with_isolation_level(1));
        let partition = &response.responses[0].partitions[0];
        assert_eq!(error(partition.error_code), None, "at {offset}");
        let mut aborted: Vec<AbortedTransaction> = partition.aborted_transactions.clone().expect("read_committed is told");
        assert!(aborted.is_sorted_by_key(|it| it.first_offset), "{aborted:?}");
        let mut skipped = std::collections::HashSet::new();
        let from = offset;
        for batch in batches(partition.records.as_ref().unwrap()).map_while(Result::ok) {
            let header = batch.header;
            aborted.retain(|it| it.first_offset > header.last_offset() || !skipped.insert(it.producer_id.0));
            if header.is_control() {
                skipped.remove(&header.producer_id);
            } else if header.last_offset() >= offset && !skipped.contains(&header.producer_id) {
                let value = records(&header, batch.body()).next().unwrap().unwrap().value.unwrap();
                values.push((header.base_offset, String::from_utf8_lossy(&value[..8]).into_owned()));
            }
            offset = header.last_offset() + 1;
        }
        if offset == from {
            assert_eq!(offset, partition.last_stable_offset);
            return values;
        }
    }
}

fn assert_every_start(client: &mut Client, first: i64, end: i64, expected: &[(i64, String)]) {
    for start in first..=end {
        let from = expected.iter().position(|(offset, _)| *offset >= start).unwrap_or(expected.len());
        assert_eq!(committed_from(client, start), expected[from..], "from {start}");
    }
}

fn send(txn: &mut Txn, client: &mut Client, n: usize) -> (i64, String) {
    let value = format!("{n:08}");
    let offset = txn.send(client, "t", 0, &(value.clone() + &"x".repeat(VALUE_LEN))).unwrap();
    (offset, value)
}

#[test]
fn every_offset_is_a_good_start_whatever_became_of_the_log() {
    let mut broker: BrokerProcess = Launch::with(SETTINGS).in_memory().start();
    let mut client = Client::connect(broker.address());
    client.make_topic("t");
    let mut producers: Vec<Txn> =
        [("a", Speaks::V1), ("b", Speaks::V2), ("c", Speaks::V2)].map(|(id, speaks)| Txn::init(&mut client, id, speaks)).into();
    // Transactions of three producers, of one to five records, in each other; every other one is aborted.
    let mut open = [vec![], vec![], vec![]];
    let mut expected = Vec::new();
    for n in 0..45 {
        let at = n % 3;
        open[at].push(send(&mut producers[at], &mut client, n));
        if open[at].len() > (n / 3) % 5 {
            let commits = (n / 5) % 2 == 0;
            producers[at].end(&mut client, commits);
            let ended = std::mem::take(&mut open[at]);
            expected.extend(ended.into_iter().filter(|_| commits));
        }
    }
    let mut left = open.into_iter().enumerate().filter(|(_, sent)| !sent.is_empty());
    let (at, sent) = left.next().expect("one is still open");
    for (other, _) in left {
        producers[other].end(&mut client, false);
    }
    expected.sort();
    let bound = sent[0].0;
    let decided: Vec<_> = expected.iter().filter(|(offset, _)| *offset < bound).cloned().collect();
    patiently(|| match committed_from(&mut client, 0) == decided {
        true => Ok(()),
        false => Err(ErrorCode::ConcurrentTransactions),
    })
    .expect("what is decided is read up to the open transaction");

    // The start of the log moves into the middle of transactions; then the broker dies with one of them open.
    let start = decided[decided.len() / 2].0 + 1;
    assert_eq!(client.delete_records("t", start), Ok(start));
    assert_every_start(&mut client, start, bound, &decided);
    broker.kill();
    broker.start_again();
    let mut client = Client::connect(broker.address());
    assert_every_start(&mut client, start, bound, &decided);

    // The producer goes on where it was: with its sequence, its transaction, and fenced if it were another.
    let repeated = {
        let mut again = producers[at].clone();
        let batch = again.batch("t", 0, "repeated");
        patiently(|| again.produce_as(&mut client, 12, "t", 0, batch.clone())).map(|offset| (offset, again, batch))
    };
    let (offset, again, batch) = repeated.unwrap();
    assert_eq!(again.produce_as(&mut client, 12, "t", 0, batch), Ok(offset), "it is known");
    producers[at] = again;
    producers[at].end(&mut client, true);
    expected.extend(sent);
    expected.push((offset, "repeated".into()));
    expected.sort();
    let end = patiently(|| {
        let read = read_committed(&mut client, "t", 0);
        if read.last_stable_offset == read.high_watermark {
            Ok(read.high_watermark)
        } else {
            Err(ErrorCode::ConcurrentTransactions)
        }
    });
    assert_every_start(&mut client, start, end.unwrap(), &expected);
    broker.stop();
}
