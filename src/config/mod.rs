//! Configuration: one declaration a key, and the typed views that the code reads.

pub mod topic;
