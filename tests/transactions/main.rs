//! Transactions: all of one is read, or nothing of it, whatever dies in between; and what each request about them answers.

#[path = "../support/mod.rs"]
#[allow(unused)]
mod support;

mod answers;
mod by_hand;
mod crash;
mod hanging;
mod readers;
