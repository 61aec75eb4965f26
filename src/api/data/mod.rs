//! The data path: produce, fetch, and what is asked about offsets and logs.

pub mod fetch;
pub mod produce;
