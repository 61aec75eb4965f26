//! Transactions: all of one is read, or nothing of it, whatever dies in between; and what each request about them answers.

#[path = "../support/mod.rs"]
#[allow(unused)]
mod support;

mod answers;
mod by_hand;
mod commands;
mod crash;
mod hanging;
mod order;
mod readers;
#[allow(unused)]
#[path = "../cli/terminal.rs"]
mod terminal;
mod verification;
