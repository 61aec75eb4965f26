//! Uuids as Kafka writes them: 16 bytes as 22 characters of URL-safe base64 without padding (Kafka's `Uuid.toString`).

use uuid::Uuid;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const TEXT_LEN: usize = 22;

pub fn format(id: Uuid) -> String {
    // 128 bits and 4 zero bits behind them make 22 characters of 6 bits.
    let mut text = [0u8; TEXT_LEN];
    let mut rest = id.as_u128();
    text[TEXT_LEN - 1] = ALPHABET[((rest << 4) & 0x3f) as usize];
    rest >>= 2;
    for char in text[..TEXT_LEN - 1].iter_mut().rev() {
        *char = ALPHABET[(rest & 0x3f) as usize];
        rest >>= 6;
    }
    text.iter().map(|byte| char::from(*byte)).collect()
}

/// `None` if `text` is not what [`format`] writes (up to `==` behind it).
pub fn parse(text: &str) -> Option<Uuid> {
    let text: &[u8; TEXT_LEN] = text.strip_suffix("==").unwrap_or(text).as_bytes().try_into().ok()?;
    let (last, front) = text.split_last()?;
    let value = |char: &u8| ALPHABET.iter().position(|c| c == char).map(|at| at as u128);
    let bits = front.iter().try_fold(0u128, |bits, char| Some(bits << 6 | value(char)?))?;
    let last = value(last)?;
    (last & 0x0f == 0).then(|| Uuid::from_u128(bits << 2 | last >> 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_read_as_kafka_prints_them() {
        // From Kafka's Uuid: ONE_UUID (the metadata topic's id) and the example of UuidTest.
        for (id, text) in [
            (Uuid::from_u128(1), "AAAAAAAAAAAAAAAAAAAAAQ"),
            (Uuid::from_u128(0), "AAAAAAAAAAAAAAAAAAAAAA"),
            (Uuid::from_u128(u128::MAX), "_____________________w"),
        ] {
            assert_eq!(format(id), text);
            assert_eq!(parse(text), Some(id));
        }
        let random = Uuid::new_v4();
        assert_eq!(parse(&format(random)), Some(random));
        for bad in ["", "AAAAAAAAAAAAAAAAAAAAAB", "AAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAA+", "AAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
