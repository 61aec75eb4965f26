//! Groups: members share the partitions of a topic while they come and go, a static member has what it had, and a group goes on where it
//! committed after the broker was away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender as Teller, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::client::*;
use crate::process::BrokerProcess;

/// What members tell.
enum News {
    Owns(&'static str, BTreeSet<i32>),
    Read(i32),
    Left(&'static str),
}

/// A consumer on a thread of its own, that commits as it goes and when it leaves.
struct Member {
    leave: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Member {
    fn close(self) {
        self.leave.store(true, Ordering::Relaxed);
        self.thread.join().expect("the member did not fail");
    }
}

fn run(config: ClientConfig, topic: String, name: &'static str, leave: Arc<AtomicBool>, tell: Teller<News>) {
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let mut owned = BTreeSet::new();
    while !leave.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                let number = std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap();
                tell.send(News::Read(number)).unwrap();
                // Where it is not the partition's owner any more, the next owner reads the record again.
                let _ = consumer.store_offset_from_message(&message);
            }
            Some(Err(error)) => panic!("{name}: {error}"),
            None => {}
        }
        let now = consumer.assignment().unwrap().elements().iter().map(|place| place.partition()).collect();
        if now != owned {
            owned = now;
            tell.send(News::Owns(name, owned.clone())).unwrap();
        }
    }
    drop(consumer);
    tell.send(News::Left(name)).unwrap();
}

/// A group, as its members tell of it.
struct Group<'a> {
    broker: &'a BrokerProcess,
    name: &'a str,
    topic: &'a str,
    settings: &'a [(&'a str, &'a str)],
    tell: Teller<News>,
    news: Receiver<News>,
    owned: BTreeMap<&'static str, BTreeSet<i32>>,
    changes: BTreeMap<&'static str, u32>,
    read: BTreeSet<i32>,
}

impl<'a> Group<'a> {
    fn new(broker: &'a BrokerProcess, name: &'a str, topic: &'a str, settings: &'a [(&'a str, &'a str)]) -> Self {
        let (tell, news) = channel();
        let (owned, changes, read) = Default::default();
        Self { broker, name, topic, settings, tell, news, owned, changes, read }
    }

    fn join(&self, name: &'static str, own: &[(&str, &str)]) -> Member {
        let mut config = config(self.broker, &[("group.id", self.name), ("auto.offset.reset", "earliest")]);
        config.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "100").set("auto.commit.interval.ms", "100");
        // What the consumer polls while it is dropped nobody sees, so that must not be committed.
        config.set("enable.auto.offset.store", "false");
        for (key, value) in self.settings.iter().chain(own) {
            config.set(*key, *value);
        }
        let leave = Arc::new(AtomicBool::new(false));
        let (topic, left, tell) = (self.topic.to_owned(), leave.clone(), self.tell.clone());
        Member { leave, thread: std::thread::spawn(move || run(config, topic, name, left, tell)) }
    }

    /// Hears the members until what they tell is so.
    fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !so(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.news.recv_timeout(left) {
                Ok(News::Owns(name, owned)) => {
                    self.owned.insert(name, owned);
                    *self.changes.entry(name).or_default() += 1;
                }
                Ok(News::Read(number)) => drop(self.read.insert(number)),
                Ok(News::Left(name)) => drop(self.owned.remove(name)),
                Err(_) => panic!("not in time: {what}; owned {:?}, {} read", self.owned, self.read.len()),
            }
        }
    }

    /// Whether these members, and no others, have an even part each, and each partition belongs to one of them.
    fn shared(&self, partitions: i32, members: &[&str]) -> bool {
        let all: Vec<i32> = self.owned.values().flatten().copied().collect();
        self.owned.keys().copied().eq(members.iter().copied())
            && self.owned.values().all(|part| part.len() == partitions as usize / members.len())
            && all.len() == partitions as usize
            && all.iter().collect::<BTreeSet<_>>().len() == all.len()
    }
}

fn committed(broker: &BrokerProcess, group: &str, topic: &str, partitions: i32) -> Vec<Offset> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let consumer = consumer(broker, &[("group.id", group)]);
    let found = consumer.committed_offsets(asked, PATIENCE).unwrap();
    found.elements().iter().map(|place| place.offset()).collect()
}

fn come_and_go(settings: &[(&str, &str)]) {
    let broker = broker(&[]);
    Admin::new(&broker).create("shared", 6, &[]);
    let mut group = Group::new(&broker, "rebalance", "shared", settings);
    let (enough, sent) = (AtomicBool::new(false), std::sync::atomic::AtomicI32::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = Sender::new(&broker, &[]);
            while !enough.load(Ordering::Relaxed) {
                let next = sent.fetch_add(30, Ordering::Relaxed);
                (next..next + 30).for_each(|number| sender.send("shared", &Record::value(number % 6, number)));
                sender.acknowledged();
            }
        });
        let first = group.join("a", &[]);
        group.until("one member owns all", |group| group.shared(6, &["a"]));
        let second = group.join("b", &[]);
        group.until("two members share", |group| group.shared(6, &["a", "b"]));
        let third = group.join("c", &[]);
        group.until("three members share", |group| group.shared(6, &["a", "b", "c"]));
        first.close();
        group.until("the two that stay share", |group| group.shared(6, &["b", "c"]));
        second.close();
        group.until("the last owns all", |group| group.shared(6, &["c"]));
        enough.store(true, Ordering::Relaxed);
        group.until("every record is read", |group| group.read.len() == sent.load(Ordering::Relaxed) as usize);
        third.close();
    });
    let sent = sent.load(Ordering::Relaxed);
    assert!(group.read.iter().copied().eq(0..sent), "each of the records and no other");
    assert_eq!(committed(&broker, "rebalance", "shared", 6), vec![Offset::Offset(i64::from(sent / 6)); 6]);
}

#[test]
fn members_share_the_partitions_while_they_come_and_go_and_nothing_is_lost() {
    come_and_go(&[]);
}

#[test]
fn members_that_cooperate_share_the_partitions_while_they_come_and_go() {
    come_and_go(&[("partition.assignment.strategy", "cooperative-sticky")]);
}

#[test]
fn a_static_member_that_comes_back_has_what_it_had_and_the_other_notices_nothing() {
    let broker = broker(&[]);
    Admin::new(&broker).create("static", 4, &[]);
    let mut group = Group::new(&broker, "static", "static", &[]);
    let one = group.join("one", &[("group.instance.id", "one")]);
    group.until("one member owns all", |group| group.shared(4, &["one"]));
    let two = group.join("two", &[("group.instance.id", "two")]);
    group.until("both share", |group| group.shared(4, &["one", "two"]));
    let (before, changes) = (group.owned["two"].clone(), group.changes["one"]);
    two.close();
    group.until("the member is away", |group| !group.owned.contains_key("two"));
    let again = group.join("two", &[("group.instance.id", "two")]);
    group.until("the member is back", |group| group.shared(4, &["one", "two"]));
    assert_eq!(group.owned["two"], before, "it has what it had");
    send_numbers(&broker, "static", 4, 0..8);
    group.until("both read on", |group| group.read.len() == 8);
    assert_eq!(group.changes["one"], changes, "the other member notices nothing");
    one.close();
    again.close();
}

#[test]
fn committed_offsets_are_found_after_a_stop_and_after_a_crash() {
    let mut broker = broker(&[]);
    Admin::new(&broker).create("kept", 2, &[]);
    let commit = |broker: &BrokerProcess, offset: i64| {
        let consumer = consumer(broker, &[("group.id", "keeper")]);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("kept", 0, Offset::Offset(offset)).unwrap();
        offsets.elements()[0].set_metadata(format!("note {offset}"));
        consumer.commit(&offsets, CommitMode::Sync).unwrap();
    };
    send_numbers(&broker, "kept", 2, 0..40);
    for (crash, offset) in [(true, 5), (false, 10)] {
        commit(&broker, offset);
        match crash {
            true => broker.kill(),
            false => assert!(broker.stop() < PATIENCE),
        }
        broker.start_again();
        assert_eq!(committed(&broker, "keeper", "kept", 2), [Offset::Offset(offset), Offset::Invalid]);
        let mut asked = TopicPartitionList::new();
        asked.add_partition("kept", 0);
        let found = consumer(&broker, &[("group.id", "keeper")]).committed_offsets(asked, PATIENCE).unwrap();
        assert_eq!(found.elements()[0].metadata(), format!("note {offset}"));
    }
    // A member goes on from there: all of partition 1, and of partition 0 what follows the offset that was committed.
    let mut group = Group::new(&broker, "keeper", "kept", &[]);
    let member = group.join("member", &[]);
    let expected: BTreeSet<i32> = (0..40).filter(|number| number % 2 == 1 || number / 2 >= 10).collect();
    group.until("it reads on", |group| group.read.len() >= expected.len());
    member.close();
    assert_eq!(group.read, expected);
}
