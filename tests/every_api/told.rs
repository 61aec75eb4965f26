//! Answers in short: what a case table can hold.

use kafka_protocol::protocol::StrBytes;
use klamm::base::ErrorCode;

/// An error code with the message beside it, as `Code` or `Code: message`.
pub fn outcome(code: i16, message: &Option<StrBytes>) -> String {
    let code = match ErrorCode::try_from_code(code) {
        None => "ok".to_owned(),
        Some(code) => format!("{code:?}"),
    };
    match message.as_deref() {
        None | Some("") => code,
        Some(message) => format!("{code}: {message}"),
    }
}

/// An error code alone.
pub fn code(code: i16) -> String {
    outcome(code, &None)
}
