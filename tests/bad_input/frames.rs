//! Frames: their lengths, cut off, filled with noise; APIs and versions that do not exist.

use klamm::api::table;

use crate::attack::{Victim, header};
use crate::protocol_support::Random;

#[test]
fn a_length_that_no_client_sends_ends_the_connection_before_anything_is_kept() {
    let victim = Victim::start(&["socket.request.max.bytes=1000000"]);
    for length in [-1, i32::MIN, -2_000_000_000, 1_000_001, 104_857_601, i32::MAX] {
        let mut attacker = victim.attacker();
        attacker.send(&length.to_be_bytes()).is_hung_up_on();
        // Whatever follows the length, and however much of it, is not kept.
        let mut attacker = victim.attacker();
        attacker.send(&length.to_be_bytes()).send(&vec![0x2a; 4 << 20]).is_hung_up_on();
    }
    victim.broker.wait_until_it_says("frame of 2147483647 bytes, where 0 to 1000000 are allowed (socket.request.max.bytes)");
    victim.goes_on();
}

#[test]
fn frames_too_short_for_a_header_end_the_connection() {
    let victim = Victim::start(&[]);
    let whole = header(3, 1);
    for length in 0..whole.len() {
        victim.attacker().send_frame(&whole[..length]).is_hung_up_on();
    }
    victim.goes_on();
}

#[test]
fn connections_that_end_in_the_middle_of_a_frame_leave_nothing_behind() {
    let victim = Victim::start(&[]);
    let descriptors = victim.broker.open_descriptors();
    let mut request = header(3, 1);
    request.extend([0; 40_000]);
    let mut frame = (request.len() as u32).to_be_bytes().to_vec();
    frame.extend(request);
    for cut in [0, 1, 3, 4, 5, 8, 11, 100, 20_000, frame.len() - 1] {
        victim.attacker().send(&frame[..cut]).finish_sending().is_hung_up_on();
        // The same, but gone without a word.
        victim.attacker().send(&frame[..cut]);
    }
    crate::attack::wait_until("the sockets are closed", || victim.broker.open_descriptors() <= descriptors);
    victim.goes_on();
}

#[test]
fn unknown_apis_and_versions_end_the_connection_and_only_api_versions_is_answered() {
    let victim = Victim::start(&[]);
    for key in [-1, i16::MIN, 4, 5, 6, 7, 99, 1000, i16::MAX] {
        assert!(table::find(key).is_none(), "{key} is served");
        victim.attacker().send_frame(&header(key, 0)).is_hung_up_on();
    }
    for api in table::APIS.iter().filter(|api| api.key != table::API_VERSIONS) {
        for version in [api.min - 1, api.max + 1, -1, i16::MIN, i16::MAX] {
            victim.attacker().send_frame(&header(api.key, version)).is_hung_up_on();
        }
    }
    for version in [5, 100, i16::MAX, -1, i16::MIN] {
        let mut attacker = victim.attacker();
        let answer = attacker.send_frame(&header(table::API_VERSIONS, version)).receive_frame();
        // Correlation id, UNSUPPORTED_VERSION, and the table in the form of version 0: an array of key, least and greatest version.
        assert_eq!(answer[..6], [0, 0, 0, 7, 0, 35], "version {version}");
        let count = u32::from_be_bytes(answer[6..10].try_into().unwrap()) as usize;
        assert_eq!((count, answer.len()), (table::APIS.len(), 10 + 6 * count));
        // The connection goes on, so that the client can ask again.
        assert_eq!(attacker.send_frame(&header(table::API_VERSIONS, 0)).receive_frame()[..6], [0, 0, 0, 7, 0, 0]);
    }
    victim.goes_on();
}

#[test]
fn noise_ends_the_connection_or_is_answered_but_never_ends_the_broker() {
    let mut victim = Victim::start(&[]);
    let mut random = Random(0x5eed);
    for round in 0..300 {
        let length = random.below(4096) as usize;
        let mut noise: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        if round % 3 > 0 && length > 4 {
            // The beginning of a request that is served, so that the noise gets as far as its body.
            let api = &table::APIS[random.below(table::APIS.len() as u64) as usize];
            let version = api.min + random.below((api.max - api.min + 1) as u64) as i16;
            noise[..2].copy_from_slice(&api.key.to_be_bytes());
            noise[2..4].copy_from_slice(&version.to_be_bytes());
        }
        let mut attacker = victim.attacker();
        match round % 2 {
            0 => attacker.send(&noise),
            _ => attacker.send_frame(&noise),
        };
        if round % 50 == 0 {
            victim.serves();
        }
    }
    victim.goes_on();
}
