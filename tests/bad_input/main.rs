//! Input that no honest client sends, and clients that behave like none: each row of the table of limits, against a broker in a process of
//! its own. Every test ends with the proof that the broker goes on: an ordinary client writes and reads, nothing panicked, and the memory
//! that the attack took is given back.

#[path = "../protocol_support/mod.rs"]
mod protocol_support;
#[path = "../support/mod.rs"]
#[allow(unused)]
mod support;

mod attack;
mod frames;
mod records;
mod names;
mod requests;
