//! What integration tests share: a node in this process, a broker in another, and what an ordinary client does with either.

pub mod everyday;
pub mod node;
pub mod process;

pub use node::*;
