//! Which topic names may be (`org.apache.kafka.common.internals.Topic`).

use super::decision::ApiError;
use crate::base::ErrorCode;

const MAX_NAME_LENGTH: usize = 249;

/// Topics that belong to the cluster; clients may not create the metadata topic at all.
pub const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// # Errors
/// INVALID_TOPIC_EXCEPTION, saying what is wrong with the name.
pub fn validate(name: &str) -> Result<(), ApiError> {
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." => "'.' is not allowed".to_owned(),
        ".." => "'..' is not allowed".to_owned(),
        // Kafka counts UTF-16 units here, but a name with others than ASCII is refused below anyway, with Kafka's other message.
        long if long.encode_utf16().count() > MAX_NAME_LENGTH => {
            format!("the length of '{long}' is longer than the max allowed length {MAX_NAME_LENGTH}")
        }
        other if other.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-')) => return Ok(()),
        other => format!("'{other}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
    };
    Err(ApiError::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "A-b_c.9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert_eq!(validate(name), Ok(()), "{name}");
        }
        for (name, reason) in [
            ("", "the empty string is not allowed"),
            (".", "'.' is not allowed"),
            ("..", "'..' is not allowed"),
            ("a b", "'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
            ("ä", "'ä' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        ] {
            let error = validate(name).unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidTopicException);
            assert_eq!(error.message, Some(format!("Topic name is invalid: {reason}")));
        }
        let long = "x".repeat(250);
        assert_eq!(
            validate(&long).unwrap_err().message,
            Some(format!("Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"))
        );
    }
}
