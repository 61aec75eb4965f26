//! A floor for broker measurements: a server that only frames, checks the CRC, writes (`pwritev`), answers, and serves fetches out of
//! a map of the file. No metadata, no retention, no recovery, no second replica: what a broker costs more than this, it costs for
//! being a broker. `cargo run --release --example floor -- 127.0.0.1:9092 DIRECTORY`

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, FetchRequest, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, api_versions_response::ApiVersion, create_topics_response::CreatableTopicResult,
    delete_topics_response::DeletableTopicResult, fetch_request::FetchPartition, metadata_response::*, produce_response::*,
};
use kafka_protocol::protocol::{Encodable, HeaderVersion, Request, StrBytes, decode_request_header_from_buffer};
use klamm::record::batch::{self, BatchHeader};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What is served: API, lowest and highest version.
const APIS: [(ApiKey, i16, i16); 6] = [
    (ApiKey::Produce, 9, 12),
    (ApiKey::Fetch, 12, 12),
    (ApiKey::Metadata, 12, 12),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 7, 7),
    (ApiKey::DeleteTopics, 6, 6),
];
/// Address space that the maps of one topic may take together, in bytes.
const MAPPED_MAX: usize = 16 << 40;

struct Partition {
    file: File,
    /// The whole file that is to be; only what was written may be touched.
    map: Bytes,
    written: Mutex<Written>,
    arrived: Notify,
}

#[derive(Default)]
struct Written {
    end: usize,
    next_offset: i64,
    /// First offset and position of every batch.
    index: Vec<(i64, usize)>,
}

struct Floor {
    directory: PathBuf,
    port: u16,
    topics: RwLock<HashMap<String, Arc<Vec<Partition>>>>,
}

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Fallible<()> {
    let mut args = std::env::args().skip(1);
    let (Some(address), Some(directory)) = (args.next(), args.next()) else {
        return Err("usage: floor HOST:PORT DIRECTORY".into());
    };
    let listener = TcpListener::bind(&address).await?;
    fs::create_dir_all(&directory)?;
    let port = listener.local_addr()?.port();
    let floor = Arc::new(Floor { directory: directory.into(), port, topics: RwLock::default() });
    loop {
        let (stream, _) = listener.accept().await?;
        let floor = floor.clone();
        tokio::spawn(async move {
            if let Err(error) = floor.serve(stream).await {
                eprintln!("connection: {error}");
            }
        });
    }
}

impl Floor {
    async fn serve(&self, mut stream: TcpStream) -> Fallible<()> {
        stream.set_nodelay(true)?;
        let mut input = BytesMut::with_capacity(64 << 10);
        let mut out: Vec<Bytes> = Vec::new();
        while stream.read_buf(&mut input).await? > 0 {
            while let Some(length) = input.first_chunk().map(|l| u32::from_be_bytes(*l) as usize).filter(|l| input.len() >= 4 + l)
            {
                input.advance(4);
                let mut frame = input.split_to(length).freeze();
                let header = decode_request_header_from_buffer(&mut frame)?;
                if header.request_api_key == ApiKey::Fetch as i16 {
                    self.fetch(&mut stream, &header, frame, &mut out).await?;
                } else if let Some(answer) = self.answer(&header, frame)? {
                    out.push(answer);
                }
            }
            write_all(&mut stream, &mut out).await?;
            input.reserve(64 << 10);
        }
        Ok(())
    }

    fn answer(&self, header: &RequestHeader, body: Bytes) -> Fallible<Option<Bytes>> {
        Ok(match ApiKey::try_from(header.request_api_key).map_err(|()| "an unknown API")? {
            ApiKey::Produce => return self.produce(header, body),
            ApiKey::ApiVersions => {
                let row = |(api, min, max): (ApiKey, i16, i16)| {
                    ApiVersion::default().with_api_key(api as i16).with_min_version(min).with_max_version(max)
                };
                let keys = APIS.map(row).to_vec();
                Some(frame::<ApiVersionsRequest>(header, &ApiVersionsResponse::default().with_api_keys(keys))?)
            }
            ApiKey::Metadata => Some(frame::<MetadataRequest>(header, &self.metadata())?),
            ApiKey::CreateTopics => {
                let mut results = Vec::new();
                for topic in decode::<CreateTopicsRequest>(header, body)?.topics {
                    self.create(&topic.name, topic.num_partitions as usize)?;
                    results.push(CreatableTopicResult::default().with_name(topic.name));
                }
                Some(frame::<CreateTopicsRequest>(header, &CreateTopicsResponse::default().with_topics(results))?)
            }
            ApiKey::DeleteTopics => {
                let names: Vec<_> =
                    decode::<DeleteTopicsRequest>(header, body)?.topics.into_iter().filter_map(|t| t.name).collect();
                for name in &names {
                    self.topics.write().expect("no panics").remove(name.as_str());
                    fs::remove_dir_all(self.directory.join(name.as_str()))?;
                }
                let results = names.into_iter().map(|name| DeletableTopicResult::default().with_name(Some(name))).collect();
                Some(frame::<DeleteTopicsRequest>(header, &DeleteTopicsResponse::default().with_responses(results))?)
            }
            _ => return Err("an API that is not served".into()),
        })
    }

    fn metadata(&self) -> MetadataResponse {
        let host = StrBytes::from_static_str("127.0.0.1");
        let broker = MetadataResponseBroker::default().with_node_id(BrokerId(1)).with_host(host).with_port(self.port.into());
        let partition = |index| MetadataResponsePartition::default().with_partition_index(index).with_leader_id(BrokerId(1));
        let topic = |(name, partitions): (&String, &Arc<Vec<Partition>>)| {
            MetadataResponseTopic::default()
                .with_name(Some(StrBytes::from_string(name.clone()).into()))
                .with_partitions((0..partitions.len() as i32).map(partition).collect())
        };
        let topics = self.topics.read().expect("no panics").iter().map(topic).collect();
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics)
    }

    fn create(&self, name: &str, count: usize) -> Fallible<()> {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory)?;
        let open = |index: usize| -> io::Result<Partition> {
            let file =
                File::options().create(true).truncate(true).read(true).write(true).open(directory.join(index.to_string()))?;
            // SAFETY: nobody else touches the file, and it only grows.
            let map = unsafe { memmap2::MmapOptions::new().len(MAPPED_MAX / count.max(64)).map(&file)? };
            map.advise(memmap2::Advice::Random)?;
            Ok(Partition { file, map: Bytes::from_owner(map), written: Mutex::default(), arrived: Notify::new() })
        };
        let partitions = (0..count).map(open).collect::<io::Result<Vec<_>>>()?;
        self.topics.write().expect("no panics").insert(name.to_owned(), Arc::new(partitions));
        Ok(())
    }

    fn topic(&self, name: &str) -> Fallible<Arc<Vec<Partition>>> {
        Ok(self.topics.read().expect("no panics").get(name).ok_or("an unknown topic")?.clone())
    }

    fn produce(&self, header: &RequestHeader, body: Bytes) -> Fallible<Option<Bytes>> {
        let request = decode::<ProduceRequest>(header, body)?;
        let mut response = ProduceResponse::default();
        for data in request.topic_data {
            let topic = self.topic(&data.name)?;
            let mut results = Vec::new();
            for one in data.partition_data {
                let partition = topic.get(one.index as usize).ok_or("an unknown partition")?;
                let base_offset = partition.append(&one.records.ok_or("no records")?)?;
                results.push(PartitionProduceResponse::default().with_index(one.index).with_base_offset(base_offset));
            }
            response.responses.push(TopicProduceResponse::default().with_name(data.name).with_partition_responses(results));
        }
        Ok(if request.acks == 0 { None } else { Some(frame::<ProduceRequest>(header, &response)?) })
    }

    async fn fetch(&self, stream: &mut TcpStream, header: &RequestHeader, body: Bytes, out: &mut Vec<Bytes>) -> Fallible<()> {
        let request = decode::<FetchRequest>(header, body)?;
        let [topic] = &request.topics[..] else { return Err("one topic a fetch".into()) };
        let [wanted] = &topic.partitions[..] else { return Err("one partition a fetch".into()) };
        let topics = self.topic(&topic.topic)?;
        let partition = topics.get(wanted.partition as usize).ok_or("an unknown partition")?;
        let arrived = partition.arrived.notified();
        let (mut records, mut end) = partition.read(wanted);
        if records.is_empty() && request.max_wait_ms > 0 {
            write_all(stream, out).await?;
            let _ = tokio::time::timeout(Duration::from_millis(request.max_wait_ms as u64), arrived).await;
            (records, end) = partition.read(wanted);
        }
        let mut head = BytesMut::with_capacity(128 + topic.topic.len());
        head.put_u32(0);
        head.put_i32(header.correlation_id);
        head.put_u8(0); // tagged fields of the header
        head.put_bytes(0, 4 + 2 + 4); // throttle time, error code, session
        head.put_u8(2); // one topic
        put_uvarint(&mut head, topic.topic.len() + 1);
        head.put_slice(topic.topic.as_bytes());
        head.put_u8(2); // one partition
        head.put_i32(wanted.partition);
        head.put_i16(0);
        head.put_i64(end);
        head.put_i64(end);
        head.put_i64(0); // log start
        head.put_u8(0); // aborted transactions: null
        head.put_i32(-1); // preferred read replica
        put_uvarint(&mut head, records.len() + 1);
        let tail = Bytes::from_static(&[0, 0, 0]); // tagged fields of partition, topic and answer
        let length = head.len() - 4 + records.len() + tail.len();
        head[..4].copy_from_slice(&(length as u32).to_be_bytes());
        out.extend([head.freeze(), records, tail]);
        Ok(())
    }
}

impl Partition {
    fn append(&self, records: &[u8]) -> Fallible<i64> {
        let header = BatchHeader::parse(records).ok_or("no batch")?;
        if header.size() != records.len() || batch::checksum(records) != header.crc {
            return Err("a damaged batch".into());
        }
        let mut written = self.written.lock().expect("no panics");
        let base = written.next_offset;
        let mut stamp = [0; batch::STAMP_LEN];
        stamp.copy_from_slice(&BatchHeader { base_offset: base, leader_epoch: 0, ..header }.encode()[..batch::STAMP_LEN]);
        let slices = [IoSlice::new(&stamp), IoSlice::new(&records[batch::STAMP_LEN..])];
        if rustix::io::pwritev(&self.file, &slices, written.end as u64)? != records.len() {
            return Err("a short write".into());
        }
        let at = written.end;
        written.index.push((base, at));
        written.end += records.len();
        written.next_offset = base + i64::from(header.last_offset_delta) + 1;
        drop(written);
        self.arrived.notify_waiters();
        Ok(base)
    }

    /// Whole batches from the wanted offset on: the first always, more as the limit allows. Also the offset of the end.
    fn read(&self, wanted: &FetchPartition) -> (Bytes, i64) {
        let written = self.written.lock().expect("no panics");
        if wanted.fetch_offset >= written.next_offset {
            return (Bytes::new(), written.next_offset);
        }
        let first = written.index.partition_point(|(base, _)| *base <= wanted.fetch_offset) - 1;
        let from = written.index[first].1;
        let limit = from + wanted.partition_max_bytes.max(0) as usize;
        let starts_within = written.index.partition_point(|(_, at)| *at <= limit);
        let fits = if written.end <= limit { written.end } else { written.index[starts_within - 1].1 };
        let to = fits.max(written.index.get(first + 1).map_or(written.end, |(_, at)| *at));
        (self.map.slice(from..to), written.next_offset)
    }
}

fn decode<R: Request>(header: &RequestHeader, mut body: Bytes) -> Fallible<R> {
    Ok(R::decode(&mut body, header.request_api_version)?)
}

fn frame<R: Request>(header: &RequestHeader, response: &R::Response) -> Fallible<Bytes> {
    let mut buf = BytesMut::with_capacity(256);
    buf.put_u32(0);
    let version = header.request_api_version;
    ResponseHeader::default()
        .with_correlation_id(header.correlation_id)
        .encode(&mut buf, <R::Response as HeaderVersion>::header_version(version))?;
    response.encode(&mut buf, version)?;
    let length = (buf.len() - 4) as u32;
    buf[..4].copy_from_slice(&length.to_be_bytes());
    Ok(buf.freeze())
}

fn put_uvarint(out: &mut BytesMut, value: usize) {
    let mut rest = value;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// One `writev` for all answers, as long as the kernel takes them.
async fn write_all(stream: &mut TcpStream, out: &mut Vec<Bytes>) -> io::Result<()> {
    let mut from = 0;
    while from < out.len() {
        let slices: Vec<IoSlice<'_>> = out[from..].iter().take(64).map(|bytes| IoSlice::new(bytes)).collect();
        let mut sent = stream.write_vectored(&slices).await?;
        while from < out.len() && sent >= out[from].len() {
            sent -= out[from].len();
            from += 1;
        }
        if sent > 0 {
            out[from].advance(sent);
        }
    }
    out.clear();
    Ok(())
}
