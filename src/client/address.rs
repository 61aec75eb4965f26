//! Where a broker listens, as people write it.

use std::fmt;
use std::str::FromStr;

/// The port that is meant where none is written.
pub const DEFAULT_PORT: u16 = 9092;

/// Host and port. An IPv6 address stands without its brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

impl Address {
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    /// Reads `host:port`, `host`, `[::1]:port`, and any of them behind a listener name (`PLAINTEXT://host:port`).
    fn from_str(text: &str) -> Result<Self, String> {
        let address = match text.trim().split_once("://") {
            Some((scheme, _)) if ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) => {
                return Err(format!("{text:?} is a web address; write the broker as HOST:PORT"));
            }
            Some((_, address)) => address,
            None => text.trim(),
        };
        let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or(format!("{text:?} is not HOST:PORT"))?)),
            // More than one colon without brackets is an IPv6 address that has no port.
            None if address.matches(':').count() > 1 => (address, None),
            None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(format!("{text:?} is not HOST:PORT"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse::<u16>() {
                Ok(port @ 1..) => port,
                _ => return Err(format!("{port:?} is not a port; ports are 1 to 65535")),
            },
        };
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, host, port, shown) in [
            ("localhost:9093", "localhost", 9093, "localhost:9093"),
            (" broker-1.example.org ", "broker-1.example.org", 9092, "broker-1.example.org:9092"),
            ("PLAINTEXT://127.0.0.1:19092", "127.0.0.1", 19092, "127.0.0.1:19092"),
            ("[::1]:9094", "::1", 9094, "[::1]:9094"),
            ("[::1]", "::1", 9092, "[::1]:9092"),
            ("fe80::1", "fe80::1", 9092, "[fe80::1]:9092"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "not HOST:PORT"),
            (":9092", "not HOST:PORT"),
            ("localhost:", "not a port"),
            ("localhost:0", "not a port"),
            ("localhost:70000", "1 to 65535"),
            ("localhost:kafka", "not a port"),
            ("[::1]9092", "not HOST:PORT"),
            ("two words:9092", "not HOST:PORT"),
            ("http://localhost:9092", "web address"),
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
