//! What the broker knows of one connection, and what a handler gets to see.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use kafka_protocol::protocol::StrBytes;

use crate::broker::Broker;
use crate::protocol::header::RequestHeader;

/// One connection, as long as it lives.
pub struct Session {
    pub broker: Arc<Broker>,
    /// Name of the listener the client came in on: endpoints in answers are those of this listener.
    pub listener: Arc<str>,
    pub peer: SocketAddr,
    /// The address the client connected to, which `advertise = "auto"` gives back to it.
    pub local: SocketAddr,
    software: OnceLock<ClientSoftware>,
}

/// What a client says of itself in ApiVersions (KIP-511).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSoftware {
    pub name: String,
    pub version: String,
}

impl Session {
    pub fn new(broker: Arc<Broker>, listener: Arc<str>, peer: SocketAddr, local: SocketAddr) -> Arc<Self> {
        Arc::new(Self { broker, listener, peer, local, software: OnceLock::new() })
    }

    /// Remembers the first name and version a client gives.
    pub fn set_software(&self, software: ClientSoftware) {
        let _ = self.software.set(software);
    }

    pub fn software(&self) -> Option<&ClientSoftware> {
        self.software.get()
    }
}

/// One request, while it is handled.
pub struct Context<'a> {
    pub session: &'a Arc<Session>,
    pub header: &'a RequestHeader,
}

impl Context<'_> {
    pub fn broker(&self) -> &Arc<Broker> {
        &self.session.broker
    }

    pub fn version(&self) -> i16 {
        self.header.api.version
    }

    /// The client id, or the empty string.
    pub fn client_id(&self) -> &str {
        self.header.client_id.as_ref().map_or("", StrBytes::as_str)
    }
}
