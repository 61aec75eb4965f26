//! A producer of one topic: records go in, and out comes what became of each.
//!
//! Invariants: every record that was sent is told of once, in a [`Delivery`]; memory is bounded by what [`sender::Sender`] gathers, the queue to it,
//! and one request a broker.

pub mod accumulator;
mod partitioner;
mod request;
mod sender;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::accumulator::NewRecord;
use self::request::init_producer_id;
use self::sender::Sender;
use super::cluster::Client;
use super::error::ClientError;
use super::metadata::Topic;
use crate::base::ids::{Offset, TimestampMs};
use crate::record::compression::Compression;

/// Records between a producer and its task.
const QUEUE: usize = 1024;

/// What the broker must have done before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// It does not answer at all.
    None = 0,
    Leader = 1,
    All = -1,
}

#[derive(Clone, Debug)]
pub struct ProducerOptions {
    pub acks: Acks,
    /// Lets the broker drop what arrives twice; for [`Acks::All`] only.
    pub idempotent: bool,
    pub compression: Compression,
    /// Bytes of a batch before compression.
    pub batch_bytes: usize,
    pub linger: Duration,
    /// Lets the broker make the topic if there is none.
    pub auto_create: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            idempotent: true,
            compression: Compression::NONE,
            batch_bytes: 256 << 10,
            linger: Duration::from_millis(5),
            auto_create: false,
        }
    }
}

impl ProducerOptions {
    /// Whether batches carry sequence numbers.
    fn numbers(&self) -> bool {
        self.idempotent && self.acks == Acks::All
    }
}

/// What became of a batch.
#[derive(Debug)]
pub struct Delivery {
    pub partition: i32,
    pub records: usize,
    pub result: Result<Delivered, ClientError>,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Offset of the first record; −1 if the broker did not say, as with acks=0.
    pub base_offset: Offset,
    /// Set where the broker stamps records itself.
    pub log_append_time: Option<TimestampMs>,
}

/// Takes records. Dropping it lets the deliveries end once everything has been sent.
pub struct Producer {
    records: mpsc::Sender<(Option<i32>, NewRecord)>,
    topic: Topic,
    stop: CancellationToken,
}

/// Tells of every record, batch by batch, in the order in which the broker answered.
pub struct Deliveries {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    sender: JoinSet<()>,
}

impl Producer {
    /// Looks the topic up, and asks for a producer id if the options want one.
    pub async fn open(client: Arc<Client>, topic: &str, options: ProducerOptions) -> Result<(Producer, Deliveries), ClientError> {
        let topic = client.topic(topic, options.auto_create).await?;
        let id = if options.numbers() { init_producer_id(&client).await? } else { None };
        let (records, received) = mpsc::channel(QUEUE);
        let (delivered, deliveries) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let sender = Sender::new(client, topic.clone(), &options, id, delivered);
        let mut task = JoinSet::new();
        task.spawn(sender.run(received, stop.clone()));
        Ok((Producer { records, topic, stop }, Deliveries { deliveries, sender: task }))
    }

    /// The topic as it was when the producer began.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Hands a record over, to the given partition or to the one its key belongs to. Waits while too much is under way. False if no more
    /// records are taken.
    pub async fn send(&self, partition: Option<i32>, record: NewRecord) -> bool {
        self.records.send((partition, record)).await.is_ok()
    }

    /// The same from a thread that may wait.
    pub fn send_blocking(&self, partition: Option<i32>, record: NewRecord) -> bool {
        self.records.blocking_send((partition, record)).is_ok()
    }

    /// Makes the producer take no more records; what it has is still sent.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }
}

impl Deliveries {
    /// The next one; `None` when the producer was dropped and nothing is under way any more.
    ///
    /// # Panics
    /// If the sender did: then there are records of which nothing was told.
    pub async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await;
        if delivery.is_none()
            && let Some(Err(error)) = self.sender.join_next().await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
        delivery
    }
}
