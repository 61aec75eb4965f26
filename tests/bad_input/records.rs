//! Batches that must not reach a log: each is refused with Kafka's code, and nothing of it is there afterwards.
