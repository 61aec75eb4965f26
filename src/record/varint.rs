//! Variable-length integers of record bodies: zigzag, then seven bits a byte, low bits first (Kafka's `ByteUtils`).
//!
//! A 32-bit value takes at most 5 bytes, a 64-bit value at most 10. Bits beyond the width are dropped, as Kafka drops them.

/// Most bytes [`put_i64`] writes.
pub const MAX_LEN: usize = 10;

/// Reads an unsigned number of at most `MAX` bytes and moves `at` behind it; `None` if it is cut off or too long.
#[inline]
fn take<const MAX: usize>(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for i in 0..MAX {
        let byte = *bytes.get(*at + i)?;
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *at += i + 1;
            return Some(value);
        }
    }
    None
}

/// Reads a signed 32-bit number at `at`, and moves `at` behind it. `None` if it is malformed; `at` is then unchanged.
#[inline]
pub fn take_i32(bytes: &[u8], at: &mut usize) -> Option<i32> {
    let raw = take::<5>(bytes, at)? as u32;
    Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Reads a signed 64-bit number at `at`, and moves `at` behind it. `None` if it is malformed; `at` is then unchanged.
#[inline]
pub fn take_i64(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let raw = take::<10>(bytes, at)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Appends a number; a 32-bit value widened to 64 bits has the same encoding.
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    let mut raw = zigzag(value);
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// Bytes that [`put_i64`] writes for `value`: 1 to [`MAX_LEN`].
pub fn len_i64(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_edges_survive_and_take_the_bytes_kafka_takes() {
        // Encodings from Kafka's ByteUtilsTest.
        let cases: &[(i64, &[u8])] = &[
            (0, &[0]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (8191, &[0xfe, 0x7f]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ];
        for (value, bytes) in cases {
            let mut out = Vec::new();
            put_i64(&mut out, *value);
            assert_eq!(&out, bytes, "{value}");
            assert_eq!(len_i64(*value), bytes.len(), "{value}");
            let mut at = 0;
            assert_eq!(take_i64(&out, &mut at), Some(*value));
            assert_eq!(at, bytes.len());
            if let Ok(narrow) = i32::try_from(*value) {
                assert_eq!(take_i32(&out, &mut 0), Some(narrow));
            }
        }
    }

    #[test]
    fn cut_off_and_overlong_numbers_are_refused() {
        assert_eq!(take_i32(&[], &mut 0), None);
        assert_eq!(take_i32(&[0x80], &mut 0), None);
        assert_eq!(take_i32(&[0x80, 0x80, 0x80, 0x80, 0x80, 0], &mut 0), None, "six bytes for 32 bits");
        assert_eq!(take_i64(&[0xff; 11], &mut 0), None, "eleven bytes for 64 bits");
        assert_eq!(take_i32(&[0xff, 0xff, 0xff, 0xff, 0x7f], &mut 0), Some(i32::MIN), "bits beyond the width are dropped");
    }
}
