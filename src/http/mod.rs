//! HTTP beside the wire: metrics for Prometheus, health for whoever restarts and routes.
//!
//! What is told comes in through [`App`]: closures over the broker, given where everything is put together. This layer knows no other.

mod health;
mod routes;
mod server;

pub use health::{Check, Readiness};
pub use routes::App;
pub use server::HttpListener;

#[cfg(test)]
mod tests;
