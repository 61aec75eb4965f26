//! Ids as Kafka prints them: a UUID in URL-safe base64 without padding, 22 characters (`org.apache.kafka.common.Uuid`).

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// Characters of a printed id.
const PRINTED_LEN: usize = 22;

/// Prints an id as Kafka's tools and log lines do.
pub fn to_string(id: Uuid) -> String {
    let bits = id.as_u128();
    // 22 digits of 6 bits are 132 bits: the last digit carries 2 bits and 4 zeros.
    (0..PRINTED_LEN)
        .map(|digit| {
            let shift = 122 - 6 * digit as i32;
            let six = if shift >= 0 { bits >> shift } else { bits << -shift };
            ALPHABET[six as usize & 63] as char
        })
        .collect()
}

/// Reads an id that was printed by [`to_string`]; `None` for anything else.
pub fn parse(text: &str) -> Option<Uuid> {
    if text.len() != PRINTED_LEN {
        return None;
    }
    let mut bits = 0u128;
    let mut last = 0;
    for (digit, c) in text.bytes().enumerate() {
        let six = ALPHABET.iter().position(|a| *a == c)? as u128;
        if digit < PRINTED_LEN - 1 {
            bits = bits << 6 | six;
        }
        last = six;
    }
    (last & 0b1111 == 0).then(|| Uuid::from_u128(bits << 2 | last >> 4))
}

/// Whether Kafka would give out this id: not a reserved one, and not printed with a leading dash, which tools would take for an option.
pub fn is_acceptable(id: Uuid) -> bool {
    !is_reserved_directory(id) && id.as_u128() >> 122 != 62
}

/// The first 100 ids mean "unassigned", "lost", "migrating" and the like (`DirectoryId`).
pub fn is_reserved_directory(id: Uuid) -> bool {
    id.as_u128() < 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_kafka_does() {
        // Values printed by Kafka's Uuid.toString.
        for (id, text) in [
            (0u128, "AAAAAAAAAAAAAAAAAAAAAA"),
            (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (u128::MAX, "_____________________w"),
            (0x00112233_44556677_8899aabb_ccddeeff, "ABEiM0RVZneImaq7zN3u_w"),
        ] {
            assert_eq!(to_string(Uuid::from_u128(id)), text);
            assert_eq!(parse(text), Some(Uuid::from_u128(id)));
        }
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAA+A", "AAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_leading_dash_and_the_first_hundred_are_never_given_out() {
        let dashed = Uuid::from_u128(62 << 122 | 7);
        assert!(to_string(dashed).starts_with('-'));
        assert!(!is_acceptable(dashed) && !is_acceptable(Uuid::from_u128(99)));
        assert!(is_acceptable(Uuid::from_u128(100)));
    }
}
