//! A broker in a process of its own, through librdkafka, the client under those of most languages: what is sent comes back as it was,
//! groups share and remember, administrators are obeyed or refused in Kafka's codes, all of it across restarts.

#[path = "../support/process.rs"]
#[allow(unused)]
mod process;

mod admin;
mod client;
mod groups;
mod produce;
