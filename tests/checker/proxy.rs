//! Stands between clients and a broker, and does what a bad broker would do. Whatever it does not falsify passes as it is.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, FetchRequest, FetchResponse, OffsetFetchResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable};

/// What the broker seems to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledged batches are nowhere to be found.
    LosesBatches,
    /// Nor are those at the end of a partition.
    LosesTheEnd,
    /// Readers are not given some batches that others are given.
    SkipsBatches,
    /// Nobody is told which transactions were aborted.
    ForgetsAborts,
    /// Everybody is given what is not yet committed.
    ReadsUncommitted,
    /// Producers are told of offsets at which there is something else.
    AcknowledgesOthers,
    /// What an idempotent producer sends is written twice now and then.
    WritesTwice,
    /// Producers are told of offsets that go down.
    AcknowledgesBackwards,
    /// Readers are given batches in the wrong order now and then.
    ReordersBatches,
    /// Groups are told that they have committed nothing.
    ForgetsCommits,
}

/// Field places in a record batch of version 2, and how long one without records is.
const ATTRIBUTES: usize = 21;
const PRODUCER: std::ops::Range<usize> = 43..57;
const RECORDS: usize = 57;
const EMPTY: usize = 61;

pub struct Proxy {
    listener: TcpListener,
}

impl Proxy {
    pub fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port") }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("it is bound")
    }

    /// Connects whoever comes with the broker, until this process ends.
    pub fn serve(self, broker: SocketAddr, fault: Fault) {
        thread::spawn(move || {
            let lost_from = Arc::default();
            for client in self.listener.incoming() {
                let (Ok(client), Ok(broker)) = (client, TcpStream::connect(broker)) else { continue };
                let falsifier = Falsifier { fault, asked: Mutex::default(), lost_from: Arc::clone(&lost_from) };
                connect(client, broker, Arc::new(falsifier));
            }
        });
    }
}

fn connect(client: TcpStream, broker: TcpStream, falsifier: Arc<Falsifier>) {
    for stream in [&client, &broker] {
        stream.set_nodelay(true).expect("a socket takes the option");
    }
    let streams = || (client.try_clone().expect("a descriptor"), broker.try_clone().expect("a descriptor"));
    let (mut from, mut to) = streams();
    let requests = Arc::clone(&falsifier);
    thread::spawn(move || while carry(&mut from, &mut to, |frame| requests.requests(frame)).is_ok() {});
    let (mut to, mut from) = streams();
    thread::spawn(move || while carry(&mut from, &mut to, |frame| falsifier.response(frame)).is_ok() {});
}

/// Passes one frame on, or what becomes of it; an end on one side ends the other.
fn carry(from: &mut TcpStream, to: &mut TcpStream, change: impl FnOnce(Bytes) -> Vec<Bytes>) -> io::Result<()> {
    let pass = || {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut frame)?;
        for frame in change(frame.into()) {
            to.write_all(&(frame.len() as u32).to_be_bytes())?;
            to.write_all(&frame)?;
        }
        Ok(())
    };
    let passed = pass();
    if passed.is_err() {
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
    passed
}

/// A request whose response is awaited.
struct Asked {
    api: ApiKey,
    version: i16,
    /// The client did not send it, and is not to see the response.
    added: bool,
}

/// Falsifies what passes over one connection.
struct Falsifier {
    fault: Fault,
    asked: Mutex<VecDeque<Asked>>,
    /// Where the lost end of a partition begins, on all connections.
    lost_from: Arc<Mutex<HashMap<i32, i64>>>,
}

impl Falsifier {
    fn requests(&self, frame: Bytes) -> Vec<Bytes> {
        let mut rest = frame.clone();
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        let version = i16::from_be_bytes([frame[2], frame[3]]);
        let api = ApiKey::try_from(key).expect("clients use what is known");
        let header = RequestHeader::decode(&mut rest, api.request_header_version(version)).expect("clients send what is right");
        let frames = match (self.fault, api) {
            (Fault::ReadsUncommitted, ApiKey::Fetch) => {
                let request = FetchRequest::decode(&mut rest, version).expect("clients send what is right");
                vec![message(&header, api.request_header_version(version), &request.with_isolation_level(0), version)]
            }
            (Fault::WritesTwice, ApiKey::Produce) => {
                let mut request = ProduceRequest::decode(&mut rest, version).expect("clients send what is right");
                let mut partitions = request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data);
                let stripped = partitions.all(|partition| forget_producer(&mut partition.records));
                let frame = message(&header, api.request_header_version(version), &request, version);
                let again = stripped && header.correlation_id % 10 == 0;
                if again { vec![frame.clone(), frame] } else { vec![frame] }
            }
            _ => vec![frame],
        };
        let mut asked = self.asked.lock().unwrap();
        asked.extend((0..frames.len()).map(|nth| Asked { api, version, added: nth > 0 }));
        frames
    }

    fn response(&self, frame: Bytes) -> Vec<Bytes> {
        let Asked { api, version, added } = self.asked.lock().unwrap().pop_front().expect("it was asked for");
        if added {
            return Vec::new();
        }
        let mut rest = frame.clone();
        let header_version = api.response_header_version(version);
        let header = ResponseHeader::decode(&mut rest, header_version).expect("brokers send what is right");
        let falsified = match (self.fault, api) {
            (Fault::AcknowledgesBackwards | Fault::AcknowledgesOthers, ApiKey::Produce) => {
                let mut response = ProduceResponse::decode(&mut rest, version).expect("brokers send what is right");
                for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
                    partition.base_offset = match self.fault {
                        Fault::AcknowledgesOthers => partition.base_offset + 1,
                        _ => 1_000_000 - partition.base_offset,
                    };
                }
                message(&header, header_version, &response, version)
            }
            (Fault::ForgetsCommits, ApiKey::OffsetFetch) => {
                let mut response = OffsetFetchResponse::decode(&mut rest, version).expect("brokers send what is right");
                for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
                    partition.committed_offset = -1;
                }
                for partition in response.groups.iter_mut().flat_map(|g| &mut g.topics).flat_map(|t| &mut t.partitions) {
                    partition.committed_offset = -1;
                }
                message(&header, header_version, &response, version)
            }
            (_, ApiKey::Fetch) => {
                let mut response = FetchResponse::decode(&mut rest, version).expect("brokers send what is right");
                self.falsify_fetch(&mut response, header.correlation_id);
                message(&header, header_version, &response, version)
            }
            _ => frame,
        };
        vec![falsified]
    }

    fn falsify_fetch(&self, response: &mut FetchResponse, correlation_id: i32) {
        let some = correlation_id % 2 == 1;
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
            let index = partition.partition_index;
            let mut lost_from = self.lost_from.lock().unwrap();
            let mut end = lost_from.get(&index).copied();
            let Some(records) = &mut partition.records else { continue };
            *records = falsify_batches(records, |base, batch| {
                let control = batch[ATTRIBUTES + 1] & 0x20 != 0;
                match self.fault {
                    Fault::LosesBatches if base % 5 == 0 && !control => empty(batch),
                    Fault::SkipsBatches if some && base % 5 == 0 && !control => empty(batch),
                    Fault::LosesTheEnd if index == 0 && base >= 100 => {
                        end.get_or_insert(base);
                        batch.clear();
                    }
                    _ => {}
                }
            });
            match self.fault {
                Fault::ForgetsAborts => partition.aborted_transactions = Some(Vec::new()),
                Fault::ReordersBatches if correlation_id % 3 == 0 => *records = reversed(records),
                _ => {}
            }
            if let Some(end) = end {
                lost_from.insert(index, end);
                partition.high_watermark = partition.high_watermark.min(end);
                partition.last_stable_offset = partition.last_stable_offset.min(end);
            }
        }
    }
}

fn message<H: Encodable, M: Encodable>(header: &H, header_version: i16, message: &M, version: i16) -> Bytes {
    let mut frame = BytesMut::new();
    header.encode(&mut frame, header_version).expect("it was decoded");
    message.encode(&mut frame, version).expect("it was decoded");
    frame.freeze()
}

/// Changes batches one by one, each given with its base offset; a torn one at the end is left out.
fn falsify_batches(records: &Bytes, mut change: impl FnMut(i64, &mut Vec<u8>)) -> Bytes {
    let (mut rest, mut changed) = (&records[..], BytesMut::new());
    while rest.len() >= EMPTY {
        let base = i64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
        let length = 12 + u32::from_be_bytes(rest[8..12].try_into().expect("four bytes")) as usize;
        if rest.len() < length {
            break;
        }
        let mut batch = rest[..length].to_vec();
        rest = &rest[length..];
        change(base, &mut batch);
        changed.put_slice(&batch);
    }
    changed.freeze()
}

/// The last batch first.
fn reversed(records: &Bytes) -> Bytes {
    let mut batches = Vec::new();
    falsify_batches(records, |_, batch| batches.push(batch.clone()));
    batches.reverse();
    batches.concat().into()
}

/// Takes a batch's records, as compaction does; its offsets stay.
fn empty(batch: &mut Vec<u8>) {
    batch.truncate(EMPTY);
    batch[8..12].copy_from_slice(&(EMPTY as u32 - 12).to_be_bytes());
    batch[RECORDS..].fill(0);
}

/// Makes the batches those of a producer without idempotence; `false` if there is a transaction, of which nothing is changed.
fn forget_producer(records: &mut Option<Bytes>) -> bool {
    let Some(records) = records else { return true };
    if records[ATTRIBUTES + 1] & 0x10 != 0 {
        return false;
    }
    *records = falsify_batches(records, |_, batch| {
        batch[PRODUCER].fill(0xff);
        let crc = crc32c::crc32c(&batch[ATTRIBUTES..]);
        batch[ATTRIBUTES - 4..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    });
    true
}
