//! Where clients are told to find brokers: always at an endpoint of the listener they came in on.
//!
//! A listener bound to every interface, with nothing advertised for it, is told as it was reached: each client gets the very address its
//! connection arrived at, which is right for it whatever names and networks lie between (`advertised.listeners = auto`).

use std::net::{IpAddr, SocketAddr};

use kafka_protocol::protocol::StrBytes;

use crate::base::ids::BrokerId;
use crate::config::listeners::{AdvertisedHost, AdvertisedListener};
use crate::metadata::{Endpoint, MetadataImage};

/// A broker as a client may reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reachable {
    pub id: BrokerId,
    pub host: StrBytes,
    pub port: i32,
    pub rack: Option<StrBytes>,
}

/// What this broker says of itself.
pub struct Endpoints {
    id: BrokerId,
    /// Listeners told as they were reached.
    as_reached: Vec<String>,
}

impl Endpoints {
    pub fn new(id: BrokerId, advertised: &[AdvertisedListener]) -> Self {
        let as_reached = advertised.iter().filter(|a| a.host == AdvertisedHost::AsReached).map(|a| a.name.clone()).collect();
        Self { id, as_reached }
    }

    /// All brokers that a client on `listener`, whose connection arrived at `local`, may reach.
    pub fn alive(&self, image: &MetadataImage, listener: &str, local: SocketAddr) -> Vec<Reachable> {
        let alive = image.alive_endpoints(listener);
        alive.map(|(broker, endpoint)| self.reachable(broker.id, broker.rack.as_deref(), endpoint, local)).collect()
    }

    /// All brokers registered with that listener, and whether they are fenced.
    pub fn registered<'a>(
        &'a self,
        image: &'a MetadataImage,
        listener: &'a str,
        local: SocketAddr,
    ) -> impl Iterator<Item = (Reachable, bool)> + 'a {
        let brokers = image.brokers().values().filter_map(move |broker| Some((broker, broker.endpoint(listener)?)));
        brokers.map(move |(broker, endpoint)| (self.reachable(broker.id, broker.rack.as_deref(), endpoint, local), broker.fenced))
    }

    /// One broker, if it is registered with that listener and not fenced (`MetadataCache.getAliveBrokerNode`).
    pub fn of(&self, image: &MetadataImage, id: BrokerId, listener: &str, local: SocketAddr) -> Option<Reachable> {
        let broker = image.broker(id).filter(|b| !b.fenced)?;
        Some(self.reachable(id, broker.rack.as_deref(), broker.endpoint(listener)?, local))
    }

    fn reachable(&self, id: BrokerId, rack: Option<&str>, endpoint: &Endpoint, local: SocketAddr) -> Reachable {
        let text = |t: &str| StrBytes::from_string(t.to_owned());
        let (host, port) = match id == self.id && self.as_reached.iter().any(|name| **name == *endpoint.name) {
            true => (StrBytes::from_string(local.ip().to_canonical().to_string()), local.port()),
            false => (text(&endpoint.host), endpoint.port),
        };
        Reachable { id, host, port: i32::from(port), rack: rack.map(text) }
    }
}

/// The host under which a listener is registered: what is advertised, else the address bound, else this machine's loopback address, which
/// only brokers on the same machine ever see of a listener told as it was reached.
pub fn registered_host(advertised: &AdvertisedListener, bound: SocketAddr) -> String {
    match &advertised.host {
        AdvertisedHost::Named(host) => host.clone(),
        AdvertisedHost::AsReached if !bound.ip().is_unspecified() => bound.ip().to_string(),
        AdvertisedHost::AsReached => match bound.ip() {
            IpAddr::V4(_) => "127.0.0.1".into(),
            IpAddr::V6(_) => "::1".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_listener_is_told_as_it_was_reached_and_others_as_registered() {
        let as_reached = AdvertisedListener { name: "OUT".into(), host: AdvertisedHost::AsReached, port: None };
        let named = AdvertisedListener { name: "IN".into(), host: AdvertisedHost::Named("k1".into()), port: Some(9) };
        let endpoints = Endpoints::new(1, &[as_reached.clone(), named.clone()]);
        let endpoint = |name: &str| Endpoint { name: name.into(), host: "registered".into(), port: 5, security_protocol: 0 };
        let local: SocketAddr = "10.1.2.3:9092".parse().unwrap();
        let told = |id, name| {
            let r = endpoints.reachable(id, None, &endpoint(name), local);
            format!("{}:{}", r.host, r.port)
        };
        assert_eq!(told(1, "OUT"), "10.1.2.3:9092");
        assert_eq!(told(1, "IN"), "registered:5");
        assert_eq!(told(2, "OUT"), "registered:5", "another broker was not reached there");
        assert_eq!(registered_host(&as_reached, "0.0.0.0:1".parse().unwrap()), "127.0.0.1");
        assert_eq!(registered_host(&as_reached, "10.0.0.1:1".parse().unwrap()), "10.0.0.1");
        assert_eq!(registered_host(&named, "0.0.0.0:1".parse().unwrap()), "k1");
    }
}
