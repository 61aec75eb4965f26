//! placeholder

pub mod group;
