//! Configuration: one declaration a key, and the typed views that the code reads.
//!
//! Deciding code only: files, the environment and arguments come in as text. `def` declares, `settings` layers, `broker`, `topic`
//! and `group` are what the code reads.

pub mod alter;
pub mod broker;
pub mod check;
pub mod def;
pub mod describe;
#[cfg(test)]
mod docs;
mod file;
pub mod foreign;
pub mod key;
pub mod listeners;
pub mod load;
#[cfg(test)]
mod parity;
pub mod problem;
pub mod render;
pub mod resource;
pub mod settings;
pub mod topic;
mod units;
mod value;

pub use broker::BrokerConfig;
pub use load::{Inputs, load};
pub use resource::{Refused, Resource};
pub use settings::{Overrides, Settings};
pub use topic::TopicConfig;
