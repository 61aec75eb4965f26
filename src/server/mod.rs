//! Listeners and connections: tasks that move frames between sockets and the table of APIs, and decide nothing about their contents.

pub mod connection;
mod input;
pub mod limits;
pub mod listener;
