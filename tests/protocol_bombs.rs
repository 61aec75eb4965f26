//! Bodies made to hurt: whatever a peer sends, reading it neither panics nor allocates more than a small multiple of what it sent.

mod protocol_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Debug;

use bytes::Bytes;
use kafka_protocol::messages::{DescribeGroupsRequest, FetchRequest, OffsetCommitRequest, ProduceRequest};
use klamm::protocol::shape::{MAX_ELEMENTS, ShapeError};
use klamm::protocol::{ApiRequest, CodecError, decode_request};
use protocol_support::{Random, Visit, dream, encode, versions, visit_every_request};

/// The system's allocator, counting bytes of each thread.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    HELD.set(HELD.get() + bytes);
    PEAK.set(PEAK.get().max(HELD.get()));
}

// SAFETY: the system's allocator does the work; counting touches no allocated memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Decodes, and tells how many bytes were held at the peak beside the body.
fn measure<R: ApiRequest>(version: i16, body: &[u8]) -> (Result<R, CodecError>, usize) {
    let body = Bytes::copy_from_slice(body);
    let before = HELD.get();
    PEAK.set(before);
    let result = decode_request(version, body);
    (result, (PEAK.get() - before) as usize)
}

/// The densest there is: four bytes of a struct with an empty tagged field become the struct and a tree node, some 550 bytes.
const BYTES_PER_BYTE: usize = 160;
/// Room for an error and its words.
const SMALL: usize = 4096;

/// Takes what is decoded and what is refused; both must stay within the bound.
fn attack<R: ApiRequest>(version: i16, body: &[u8]) -> bool {
    let (result, peak) = measure::<R>(version, body);
    assert!(
        peak <= SMALL + BYTES_PER_BYTE * body.len(),
        "key {} version {version}: {peak} bytes held for {} bytes {body:02x?}",
        R::KEY,
        body.len()
    );
    result.is_ok()
}

/// Numbers that a decoder may take for a length: most and least of each width, and one beyond what is there.
const LIES: [&[u8]; 8] = [
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xfe],
    &[0x00, 0x10, 0x00, 0x00],
    &[0x7f, 0xff],
    &[0xff, 0xfe],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0x80, 0x04],
];

/// Every byte of valid bodies replaced by lies, every cut, and noise.
struct Bombs {
    random: Random,
    attacks: usize,
    accepted: usize,
}

impl Visit for Bombs {
    fn visit<R>(&mut self)
    where
        R: ApiRequest + Debug + PartialEq,
        R::Response: Debug + Default + PartialEq,
    {
        for version in versions::<R>() {
            for _ in 0..4 {
                let body = encode::<R>(&dream(self.random.next(), version), version);
                let body = &body[..body.len().min(600)];
                for at in 0..body.len() {
                    self.attack::<R>(version, &body[..at]);
                    for lie in LIES {
                        // Over what stands there, and pushed in before it.
                        let behind = &body[(at + lie.len()).min(body.len())..];
                        self.attack::<R>(version, &[&body[..at], lie, behind].concat());
                        self.attack::<R>(version, &[&body[..at], lie, &body[at..]].concat());
                    }
                }
            }
            for length in 0..200 {
                let noise: Vec<u8> = (0..length).map(|_| self.random.next() as u8).collect();
                self.attack::<R>(version, &noise);
                let calm: Vec<u8> = (0..length).map(|_| self.random.below(4) as u8).collect();
                self.attack::<R>(version, &calm);
            }
        }
    }
}

impl Bombs {
    fn attack<R: ApiRequest>(&mut self, version: i16, body: &[u8]) {
        self.attacks += 1;
        self.accepted += usize::from(attack::<R>(version, body));
    }
}

#[test]
fn no_body_makes_the_decoder_panic_or_hoard() {
    let mut bombs = Bombs { random: Random(4), attacks: 0, accepted: 0 };
    visit_every_request(&mut bombs);
    // Lies in plain numbers do no harm and are decoded; lies in lengths are refused.
    let Bombs { attacks, accepted, .. } = bombs;
    assert!(attacks / 20 < accepted && accepted < attacks / 2, "{accepted} of {attacks} were decoded");
}

#[test]
fn twelve_bytes_of_produce_cost_nothing() {
    let body = [0xff, 0xff, 0, 1, 0, 0, 0, 9, 0x7f, 0xff, 0xff, 0xff];
    let (result, peak) = measure::<ProduceRequest>(3, &body);
    assert!(matches!(result, Err(CodecError::Shape(ShapeError::BeyondEnd { .. }))));
    assert!(peak < 256, "{peak}");
}

/// What the largest request that passes may hold beside its frame, plain numbers aside.
const MOST: usize = 48 << 20;

#[test]
fn the_densest_bodies_stay_within_tens_of_mebibytes() {
    // Strings of no bytes: two bytes on the wire, 32 in memory.
    let strings = [&(MAX_ELEMENTS as u32).to_be_bytes()[..], &vec![0; 2 * MAX_ELEMENTS]].concat();
    let (result, peak) = measure::<DescribeGroupsRequest>(0, &strings);
    assert_eq!(result.unwrap().groups.len(), MAX_ELEMENTS);
    assert!(peak <= MOST, "{peak}");

    // Topics with nothing in them: 22 bytes on the wire.
    let head = [&[2, b'g', 0, 0, 0, 1, 1, 0][..], &varint(MAX_ELEMENTS + 1)].concat();
    let topic = [&[7; 16][..], &[1, 0]].concat();
    let topics = [&head[..], &topic.repeat(MAX_ELEMENTS), &[0]].concat();
    let (result, peak) = measure::<OffsetCommitRequest>(10, &topics);
    assert_eq!(result.unwrap().topics.len(), MAX_ELEMENTS);
    assert!(peak <= MOST, "{peak}");

    // Topics that each carry an unknown tagged field without contents: a tree node for two bytes.
    let count = MAX_ELEMENTS / 5;
    let head = [&[2, b'g', 0, 0, 0, 1, 1, 0][..], &varint(count + 1)].concat();
    let topic = [&[7; 16][..], &[1, 1, 9, 0]].concat();
    let topics = [&head[..], &topic.repeat(count), &[0]].concat();
    let (result, peak) = measure::<OffsetCommitRequest>(10, &topics);
    assert_eq!(result.unwrap().topics.len(), count);
    assert!(peak <= MOST, "{peak}");
}

#[test]
fn a_hundred_mebibytes_of_empty_topics_are_refused_before_anything_is_held() {
    let head = [&[0; 21][..], &varint(3_000_000)].concat();
    let topic = [&[7; 16][..], &[1, 0]].concat();
    let body = [&head[..], &topic.repeat(3_000_000)].concat();
    let (result, peak) = measure::<FetchRequest>(15, &body);
    assert!(matches!(result, Err(CodecError::Shape(ShapeError::TooManyElements { .. }))), "{result:?}");
    assert!(peak < 256, "{peak}");
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
