//! Many clients at once, at random: idempotent producers, transactional ones that read as well, and readers that commit, all through librdkafka.
//!
//! Every process decides by a generator of its own, seeded by the run's seed, and records what it did and was told. Readers see committed records
//! only. Each process has a group of its own, with all partitions assigned, so that nothing but faults explains what it sees.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset as Place, TopicPartitionList};
use rdkafka::{ClientContext, util::Timeout};

use crate::random::Random;

use super::history::{Key, Offset, Outcome, Recorder, Step, Value};

pub const PARTITIONS: Key = 3;
const TOPIC: &str = "checked";
/// How long anything may take; a broker that is killed is back long before.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much an idempotent producer has under way.
const IN_FLIGHT: i32 = 40;

/// How many processes of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub producers: usize,
    pub transactional: usize,
    pub readers: usize,
}

/// A run: where the broker is, and what is told of it.
#[derive(Clone)]
pub struct Run {
    pub bootstrap: String,
    pub seed: u64,
    pub recorder: Recorder,
    stop: Arc<AtomicBool>,
}

impl Run {
    pub fn new(bootstrap: String, seed: u64) -> Self {
        Self { bootstrap, seed, recorder: Recorder::default(), stop: Arc::default() }
    }

    /// Creates the topic, lets the crowd work while `disturb` runs, then reads everything there is.
    pub fn work(&self, crowd: Crowd, disturb: impl FnOnce(&Run)) {
        self.create_topic();
        std::thread::scope(|scope| {
            let mut process = 0;
            let mut start = |kind: fn(&Run, usize), count: usize| {
                for _ in 0..count {
                    process += 1;
                    let (run, process) = (self.clone(), process);
                    scope.spawn(move || kind(&run, process));
                }
            };
            start(produce, crowd.producers);
            start(transact, crowd.transactional);
            start(read, crowd.readers);
            // If the disturbance panics, so that a test fails, the processes end as well.
            let ends = StopsAtTheEnd(&self.stop);
            disturb(self);
            drop(ends);
        });
        let first = crowd.producers + 1;
        for process in first..first + crowd.transactional {
            // Ends what a producer that died has left open.
            drop(transactional_producer(self, process));
        }
        self.read_to_the_end(crowd.producers + crowd.transactional + crowd.readers + 1);
        for process in first..first + crowd.transactional + crowd.readers {
            ask_committed(self, process, &self.consumer(process));
        }
    }

    /// Waits until so many more writes have been acknowledged.
    pub fn wait_for_writes(&self, more: usize) {
        let wanted = self.recorder.acknowledged() + more;
        self.wait_until(|| self.recorder.acknowledged() >= wanted);
    }

    /// Waits until somebody has read, whom the disturbances may have kept from it.
    pub fn wait_for_reads(&self) {
        self.wait_until(|| self.recorder.read() > 0);
    }

    fn wait_until(&self, happened: impl Fn() -> bool) {
        let deadline = Instant::now() + 2 * PATIENCE;
        while !happened() {
            assert!(Instant::now() < deadline, "the clients do not get on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn random(&self, process: usize) -> Random {
        Random(self.seed.wrapping_mul(1000).wrapping_add(process as u64))
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap).set("socket.timeout.ms", "10000");
        config.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "100").set("retry.backoff.ms", "20");
        config
    }

    fn create_topic(&self) {
        let admin: AdminClient<DefaultClientContext> = self.config().create().expect("the configuration is right");
        let topic = [NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1))];
        let options = AdminOptions::new().operation_timeout(Some(Timeout::After(PATIENCE)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let created = runtime.block_on(admin.create_topics(&topic, &options)).expect("it is asked");
        created.into_iter().for_each(|created| drop(created.expect("it is created")));
    }

    /// Reads as the group of that process, from nowhere yet.
    fn consumer(&self, process: usize) -> BaseConsumer {
        let mut config = self.config();
        config
            .set("group.id", format!("process-{process}"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        config.set("isolation.level", "read_committed").set("enable.partition.eof", "true").set("fetch.wait.max.ms", "50");
        config.create().expect("the configuration is right")
    }

    fn read_to_the_end(&self, process: usize) {
        let consumer = self.consumer(process);
        assign(&consumer, |_| Place::Beginning);
        let (mut ended, deadline) = (vec![false; PARTITIONS as usize], Instant::now() + 2 * PATIENCE);
        while ended.iter().any(|ended| !ended) {
            assert!(Instant::now() < deadline, "what was written cannot be read to its end: {ended:?}");
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    ended[message.partition() as usize] = false;
                    let step = Step::Poll(vec![record(&message)]);
                    self.recorder.record(process, false, self.recorder.now(), Outcome::Ok, vec![step]);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => ended[partition as usize] = true,
                Some(Err(_)) | None => {}
            }
        }
    }
}

struct StopsAtTheEnd<'a>(&'a AtomicBool);

impl Drop for StopsAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn record(message: &impl Message) -> (Key, Offset, Value) {
    let value = std::str::from_utf8(message.payload().expect("every record has a value")).ok().and_then(|text| text.parse().ok());
    (message.partition(), message.offset(), value.expect("every value is a number"))
}

fn assign(consumer: &BaseConsumer, place: impl Fn(Key) -> Place) {
    let mut partitions = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|key| partitions.add_partition_offset(TOPIC, key, place(key)).expect("a place"));
    consumer.assign(&partitions).expect("it can be assigned");
}

/// Polls up to `most` records; nothing if none is there.
fn poll(consumer: &BaseConsumer, most: u64) -> Vec<(Key, Offset, Value)> {
    let mut records = Vec::new();
    let mut wait = Duration::from_millis(30);
    while (records.len() as u64) < most {
        match consumer.poll(wait) {
            Some(Ok(message)) => records.push(record(&message)),
            Some(Err(_)) => {}
            None => break,
        }
        wait = Duration::from_millis(1);
    }
    records
}

/// Asks what the process's group has committed, and records the answer.
fn ask_committed(run: &Run, process: usize, consumer: &BaseConsumer) -> HashMap<Key, Offset> {
    let mut partitions = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|key| {
        partitions.add_partition(TOPIC, key);
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let invoked = run.recorder.now();
        if let Ok(answer) = consumer.committed_offsets(partitions.clone(), Duration::from_secs(10)) {
            let committed = |key| match answer.find_partition(TOPIC, key).map(|found| found.offset()) {
                Some(Place::Offset(offset)) => Some(offset),
                _ => None,
            };
            let steps = (0..PARTITIONS).map(|key| Step::Committed { key, offset: committed(key) }).collect();
            run.recorder.record(process, false, invoked, Outcome::Ok, steps);
            return (0..PARTITIONS).filter_map(|key| Some((key, committed(key)?))).collect();
        }
        assert!(Instant::now() < deadline, "nobody tells what was committed");
    }
}

/// A new consumer, which begins where the process's group has committed, or at the beginning: as a process that died and is started again.
/// librdkafka's may end in a failed assertion when it is given partitions again that it has just begun with.
fn start_over(run: &Run, process: usize) -> BaseConsumer {
    let consumer = run.consumer(process);
    let committed = ask_committed(run, process, &consumer);
    assign(&consumer, |key| committed.get(&key).map_or(Place::Beginning, |offset| Place::Offset(*offset)));
    run.recorder.record(process, false, run.recorder.now(), Outcome::Ok, vec![Step::Seek]);
    consumer
}

/// The next place to read of each key that was read.
fn positions(positions: &HashMap<Key, Offset>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    positions.iter().for_each(|(key, offset)| list.add_partition_offset(TOPIC, *key, Place::Offset(*offset)).expect("a place"));
    list
}

/// Commits, on a thread of its own: the call can wait for ever for a broker that it does not connect to. `false` if no answer came, and the
/// consumer is still at it.
fn commit(run: &Run, process: usize, consumer: &Arc<BaseConsumer>, read: &HashMap<Key, Offset>) -> bool {
    let (invoked, places) = (run.recorder.now(), positions(read));
    let (told, answer) = mpsc::channel();
    std::thread::spawn({
        let consumer = Arc::clone(consumer);
        move || told.send(consumer.commit(&places, CommitMode::Sync).is_ok())
    });
    let answer = answer.recv_timeout(Duration::from_secs(15));
    let outcome = if answer == Ok(true) { Outcome::Ok } else { Outcome::Unknown };
    let steps = read.iter().map(|(key, offset)| Step::Commit { key: *key, offset: *offset }).collect();
    run.recorder.record(process, false, invoked, outcome, steps);
    answer.is_ok()
}

fn poll_and_record(run: &Run, process: usize, consumer: &BaseConsumer, most: u64, read: &mut HashMap<Key, Offset>) {
    let invoked = run.recorder.now();
    let records = poll(consumer, most);
    read.extend(records.iter().map(|(key, offset, _)| (*key, offset + 1)));
    run.recorder.record(process, false, invoked, Outcome::Ok, vec![Step::Poll(records)]);
}

fn read(run: &Run, process: usize) {
    let mut random = run.random(process);
    let mut consumer = Arc::new(start_over(run, process));
    let mut read: HashMap<Key, Offset> = HashMap::new();
    while !run.stopped() {
        match random.below(40) {
            0 => {
                consumer = Arc::new(run.consumer(process));
                assign(&consumer, |_| Place::Beginning);
                read.clear();
                run.recorder.record(process, false, run.recorder.now(), Outcome::Ok, vec![Step::Seek]);
            }
            1 => {
                consumer = Arc::new(start_over(run, process));
                read.clear();
            }
            2..8 if !read.is_empty() => {
                if !commit(run, process, &consumer, &read) {
                    consumer = Arc::new(start_over(run, process));
                    read.clear();
                }
            }
            8 => {
                ask_committed(run, process, &consumer);
            }
            _ => poll_and_record(run, process, &consumer, 1 + random.below(200), &mut read),
        }
    }
}

/// A record of an idempotent producer, on its way.
struct Sent {
    invoked: u64,
    key: Key,
    value: Value,
}

/// Records what became of each.
struct Recording {
    process: usize,
    recorder: Recorder,
}

impl ClientContext for Recording {}

impl ProducerContext for Recording {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let (outcome, offset) = match result {
            Ok(message) => (Outcome::Ok, Some(message.offset())),
            Err(_) => (Outcome::Unknown, None),
        };
        let step = Step::Send { key: sent.key, value: sent.value, offset };
        self.recorder.record(self.process, false, sent.invoked, outcome, vec![step]);
    }
}

/// The values of a process.
fn values(process: usize) -> impl Iterator<Item = Value> {
    (0..).map(move |n| (process as u64) << 32 | n)
}

fn produce(run: &Run, process: usize) {
    let mut random = run.random(process);
    let context = Recording { process, recorder: run.recorder.clone() };
    let mut config = run.config();
    config
        .set("enable.idempotence", "true")
        .set("linger.ms", "1")
        .set("batch.num.messages", "10")
        .set("message.timeout.ms", "120000");
    let producer: ThreadedProducer<Recording> = config.create_with_context(context).expect("the configuration is right");
    for value in values(process) {
        while producer.in_flight_count() >= IN_FLIGHT {
            std::thread::sleep(Duration::from_micros(500));
        }
        if run.stopped() {
            break;
        }
        let (key, invoked) = (random.below(PARTITIONS as u64) as Key, run.recorder.now());
        let payload = value.to_string();
        let sent = Box::new(Sent { invoked, key, value });
        let message = BaseRecord::<str, str, _>::with_opaque_to(TOPIC, sent).partition(key).payload(&payload).key("");
        // Refused by the client itself, for its queue is full: it was never sent.
        drop(producer.send(message));
        std::thread::sleep(Duration::from_micros(random.below(1000)));
    }
    producer.flush(2 * PATIENCE).expect("all is told of in the end");
}

/// Where the records of the open transaction went.
#[derive(Clone, Default)]
struct Delivered(Arc<Mutex<HashMap<Value, Option<Offset>>>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = Box<Value>;

    fn delivery(&self, result: &DeliveryResult<'_>, value: Box<Value>) {
        let offset = result.as_ref().ok().map(Message::offset);
        self.0.lock().unwrap().insert(*value, offset);
    }
}

type Transactional = ThreadedProducer<Delivered>;

fn transactional_producer(run: &Run, process: usize) -> Transactional {
    let mut config = run.config();
    config.set("transactional.id", format!("process-{process}")).set("transaction.timeout.ms", "60000");
    config.set("message.timeout.ms", "50000").set("linger.ms", "0");
    let producer: Transactional = config.create_with_context(Delivered::default()).expect("the configuration is right");
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = producer.init_transactions(Duration::from_secs(10)) {
        assert!(Instant::now() < deadline, "a transactional producer does not start: {error}");
    }
    producer
}

/// What a transaction did to the producer.
#[derive(PartialEq)]
enum Left {
    Usable,
    /// To be replaced by another of the same id.
    Broken,
}

fn transact(run: &Run, process: usize) {
    let mut random = run.random(process);
    let mut consumer = start_over(run, process);
    let mut values = values(process);
    while !run.stopped() {
        let producer = transactional_producer(run, process);
        while !run.stopped() {
            let (outcome, left) = transaction(run, process, &producer, &consumer, &mut random, &mut values);
            if outcome != Outcome::Ok || left == Left::Broken {
                consumer = start_over(run, process);
            }
            // Now and then a producer disappears between two transactions.
            if left == Left::Broken || random.below(50) == 0 {
                break;
            }
        }
    }
}

fn transaction(
    run: &Run,
    process: usize,
    producer: &Transactional,
    consumer: &BaseConsumer,
    random: &mut Random,
    values: &mut impl Iterator<Item = Value>,
) -> (Outcome, Left) {
    let invoked = run.recorder.now();
    producer.context().0.lock().unwrap().clear();
    if producer.begin_transaction().is_err() {
        return (Outcome::Fail, Left::Broken);
    }
    let mut steps = Vec::new();
    let mut read: HashMap<Key, Offset> = HashMap::new();
    let mut wanted = true;
    for _ in 0..=random.below(5) {
        if random.below(3) == 0 {
            let records = poll(consumer, 1 + random.below(500));
            read.extend(records.iter().map(|(key, offset, _)| (*key, offset + 1)));
            steps.push(Step::Poll(records));
        } else {
            let (key, value) = (random.below(PARTITIONS as u64) as Key, values.next().expect("numbers do not end"));
            let payload = value.to_string();
            let message =
                BaseRecord::<str, str, _>::with_opaque_to(TOPIC, Box::new(value)).partition(key).payload(&payload).key("");
            steps.push(Step::Send { key, value, offset: None });
            wanted &= producer.send(message).is_ok();
        }
        if random.below(15) == 0 {
            wanted = false;
            break;
        }
    }
    if wanted && !read.is_empty() && random.below(2) == 0 {
        let group = consumer.group_metadata().expect("it has a group");
        let sent = retried(|| producer.send_offsets_to_transaction(&positions(&read), &group, Duration::from_secs(10)));
        steps.extend(read.iter().map(|(key, offset)| Step::Commit { key: *key, offset: *offset }));
        wanted = sent == Ended::Yes;
    }
    let mut ended = if wanted { retried(|| producer.commit_transaction(Duration::from_secs(10))) } else { Ended::MustAbort };
    let mut outcome = if ended == Ended::Yes { Outcome::Ok } else { Outcome::Unknown };
    if ended == Ended::MustAbort {
        ended = retried(|| producer.abort_transaction(Duration::from_secs(10)));
        outcome = if ended == Ended::Yes { Outcome::Fail } else { Outcome::Unknown };
    }
    let delivered = producer.context().0.lock().unwrap();
    for step in &mut steps {
        if let Step::Send { value, offset, .. } = step {
            *offset = delivered.get(value).copied().flatten();
        }
    }
    // librdkafka forgets what it had sent when it aborts, and gives the numbers of what was not acknowledged yet to the next records. A broker
    // that has the former answers that it knows the latter: they are lost, with Kafka, too. Another producer gets another epoch.
    let forgotten = steps.iter().any(|step| matches!(step, Step::Send { offset: None, .. }));
    run.recorder.record(process, true, invoked, outcome, steps);
    (outcome, if ended == Ended::Yes && !forgotten { Left::Usable } else { Left::Broken })
}

#[derive(PartialEq)]
enum Ended {
    Yes,
    MustAbort,
    Unknown,
}

/// Calls until the answer is final.
fn retried(mut call: impl FnMut() -> Result<(), KafkaError>) -> Ended {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match call() {
            Ok(()) => return Ended::Yes,
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => return Ended::MustAbort,
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {}
            Err(_) => return Ended::Unknown,
        }
    }
}
