//! Addresses in the configuration: `NAME://host:port`, what is advertised for them, and bounds by address.

use std::collections::BTreeMap;

use super::check::elements_of;

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Upper case, unique among the listeners of a node.
    pub name: String,
    /// `None` is every interface.
    pub host: Option<String>,
    /// Of every interface the IPv4 addresses alone: `0.0.0.0`.
    pub ipv4_only: bool,
    /// 0 asks the system for a free port.
    pub port: u16,
}

/// What clients of one listener are told to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvertisedListener {
    pub name: String,
    pub host: AdvertisedHost,
    /// `None` is the port that the listener got.
    pub port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdvertisedHost {
    Named(String),
    /// The address of this node at which the client's connection arrived.
    AsReached,
}

/// The value of `advertised.listeners` that leaves the host of every listener to klamm.
const AUTO: &str = "auto";
const ALL_IPV4: &str = "0.0.0.0";
const WILDCARDS: &[&str] = &[ALL_IPV4, "::"];
/// Security protocols as Kafka names them.
pub const PROTOCOLS: &[&str] = &["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

impl Listener {
    /// Reads `NAME://host:port`; an IPv6 host stands in brackets, an empty one is every interface.
    pub fn parse(text: &str) -> Result<Listener, String> {
        let bad = || format!("`{text}` is not of the form NAME://host:port");
        let (name, address) = text.split_once("://").ok_or_else(bad)?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(bad());
        }
        let (host, port) = split_host_and_port(address).ok_or_else(bad)?;
        let ipv4_only = host == ALL_IPV4;
        let host = Some(host.to_owned()).filter(|host| !host.is_empty() && !WILDCARDS.contains(&host.as_str()));
        Ok(Listener { name: name.to_ascii_uppercase(), host, ipv4_only, port })
    }

    /// Whether only one of the two can listen.
    fn clashes_with(&self, other: &Listener) -> bool {
        let one_host = self.host == other.host || self.host.is_none() || other.host.is_none();
        self.port == other.port && self.port != 0 && one_host
    }

    /// Whether this takes the address of `http.listener`, which is `host:port`.
    pub(super) fn takes_http(&self, address: &str) -> bool {
        Listener::parse(&format!("HTTP://{address}")).is_ok_and(|http| self.clashes_with(&http))
    }
}

/// The host without its brackets, and the port.
fn split_host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_ok())?,
        None if host.contains([':', '/', ' ', '[', ']']) => return None,
        None => host,
    };
    // `parse` alone would take a leading plus sign.
    let port = port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok())??;
    Some((host, port))
}

fn parse_all(plain: &str) -> Result<Vec<Listener>, String> {
    let all: Vec<Listener> = elements_of(plain).map(Listener::parse).collect::<Result<_, _>>()?;
    for (i, listener) in all.iter().enumerate() {
        if all[..i].iter().any(|other| other.name == listener.name) {
            return Err(format!("each listener must have a different name, but {} stands twice", listener.name));
        }
    }
    Ok(all)
}

/// The listeners of a checked text.
pub(super) fn listeners(checked: &[String]) -> Vec<Listener> {
    checked.iter().filter_map(|text| Listener::parse(text).ok()).collect()
}

/// What to advertise for each of `listeners`, given the checked elements of `advertised.listeners`.
///
/// Kafka advertises the canonical host name where a listener takes every interface; that name rarely means anything to a client in
/// another container, so here it is the address the client itself came in by.
pub(super) fn advertised(listeners: &[Listener], checked: Option<&[String]>) -> Vec<AdvertisedListener> {
    let named = self::listeners(checked.unwrap_or_default());
    listeners
        .iter()
        .map(|listener| {
            let name = listener.name.clone();
            let (host, port) = match named.iter().find(|n| n.name == name) {
                Some(named) => (named.host.clone(), Some(named.port).filter(|port| *port != 0)),
                None => (listener.host.clone(), None),
            };
            AdvertisedListener { name, host: host.map_or(AdvertisedHost::AsReached, AdvertisedHost::Named), port }
        })
        .collect()
}

pub(super) fn check_listeners(plain: &str) -> Result<(), String> {
    let all = parse_all(plain)?;
    if all.is_empty() {
        return Err("at least one listener is needed".into());
    }
    for (i, listener) in all.iter().enumerate() {
        if let Some(other) = all[..i].iter().find(|other| other.clashes_with(listener)) {
            return Err(format!("{} and {} listen on the same address and port {}", other.name, listener.name, listener.port));
        }
    }
    Ok(())
}

pub(super) fn check_advertised(plain: &str) -> Result<(), String> {
    if plain == AUTO {
        return Ok(());
    }
    for listener in parse_all(plain)? {
        if listener.host.is_none() {
            return Err(format!(
                "{} advertises no host that a client could connect to; leave it out, or write auto",
                listener.name
            ));
        }
    }
    Ok(())
}

/// `NAME:PROTOCOL` pairs, the names in upper case.
pub(super) fn protocol_map(plain: &str) -> Result<BTreeMap<String, &'static str>, String> {
    elements_of(plain)
        .map(|pair| {
            let (name, protocol) = pair.rsplit_once(':').ok_or_else(|| format!("`{pair}` is not of the form NAME:PROTOCOL"))?;
            let protocol = PROTOCOLS
                .iter()
                .find(|known| known.eq_ignore_ascii_case(protocol.trim()))
                .ok_or_else(|| format!("{} is no security protocol; there are {}", protocol.trim(), PROTOCOLS.join(", ")))?;
            Ok((name.trim().to_ascii_uppercase(), *protocol))
        })
        .collect()
}

pub(super) fn check_protocol_map(plain: &str) -> Result<(), String> {
    protocol_map(plain).map(drop)
}

/// `address:number` pairs.
pub(super) fn overrides(plain: &str) -> Result<BTreeMap<String, i32>, String> {
    elements_of(plain)
        .map(|pair| {
            let (address, number) = pair.rsplit_once(':').ok_or_else(|| format!("`{pair}` is not of the form address:number"))?;
            let number: i32 = number.trim().parse().map_err(|_| format!("`{pair}` does not end in a number"))?;
            if number < 0 {
                return Err(format!("`{pair}` allows less than no connection"));
            }
            Ok((address.trim().trim_matches(['[', ']']).to_owned(), number))
        })
        .collect()
}

pub(super) fn check_overrides(plain: &str) -> Result<(), String> {
    overrides(plain).map(drop)
}

pub(super) fn check_host_and_port(plain: &str) -> Result<(), String> {
    split_host_and_port(plain).map(drop).ok_or_else(|| format!("`{plain}` is not of the form host:port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(name: &str, host: Option<&str>, port: u16) -> Listener {
        Listener { name: name.into(), host: host.map(str::to_owned), ipv4_only: false, port }
    }

    #[test]
    fn listeners_are_read_as_kafka_reads_them() {
        for (text, expected) in [
            ("PLAINTEXT://:9092", listener("PLAINTEXT", None, 9092)),
            ("plaintext://0.0.0.0:9092", Listener { ipv4_only: true, ..listener("PLAINTEXT", None, 9092) }),
            ("EXTERNAL://broker-1.example.org:0", listener("EXTERNAL", Some("broker-1.example.org"), 0)),
            ("V6://[::1]:9092", listener("V6", Some("::1"), 9092)),
            ("V6://[::]:9092", listener("V6", None, 9092)),
        ] {
            assert_eq!(Listener::parse(text), Ok(expected), "{text}");
        }
        for text in
            ["", ":9092", "PLAINTEXT://:70000", "PLAINTEXT://:+1", "://h:1", "A B://h:1", "P://::1:9092", "P://[x]:1", "P://h"]
        {
            assert!(Listener::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listeners_that_cannot_stand_together_are_refused() {
        assert!(check_listeners("A://:1,B://:2,C://h:0,D://g:0").is_ok());
        assert!(check_listeners("A://127.0.0.1:1,B://[::1]:1").is_ok());
        for text in ["", "A://:1,A://:2", "A://:1,B://h:1", "A://h:1,B://h:1"] {
            assert!(check_listeners(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_advertised_follows_what_is_known() {
        let all = listeners(&["IN://10.0.0.1:9092".into(), "OUT://:9093".into()]);
        let told = |checked: Option<&[String]>| advertised(&all, checked);
        let named = |name: &str, host: &str, port| AdvertisedListener {
            name: name.into(),
            host: AdvertisedHost::Named(host.into()),
            port,
        };
        let reached = AdvertisedListener { name: "OUT".into(), host: AdvertisedHost::AsReached, port: None };
        assert_eq!(told(None), [named("IN", "10.0.0.1", None), reached.clone()]);
        assert_eq!(told(Some(&["auto".into()])), [named("IN", "10.0.0.1", None), reached]);
        let out = ["OUT://kafka.example.org:443".to_owned()];
        assert_eq!(told(Some(&out)), [named("IN", "10.0.0.1", None), named("OUT", "kafka.example.org", Some(443))]);
        assert!(check_advertised("OUT://:9092").is_err());
        assert!(check_advertised("OUT://0.0.0.0:9092").is_err());
    }

    #[test]
    fn pairs_are_read_from_the_right() {
        assert_eq!(overrides("127.0.0.1:5, [::1]:6").unwrap(), BTreeMap::from([("127.0.0.1".into(), 5), ("::1".into(), 6)]));
        assert!(overrides("127.0.0.1").is_err());
        assert!(overrides("127.0.0.1:-1").is_err());
        assert_eq!(protocol_map("a:plaintext").unwrap(), BTreeMap::from([("A".into(), "PLAINTEXT")]));
        assert!(protocol_map("A:TLS").unwrap_err().contains("SASL_SSL"));
    }
}
