//! What a transaction shard is asked and what it answers. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use kafka_protocol::messages::{describe_transactions_response, list_transactions_response};
use kafka_protocol::protocol::StrBytes;

use super::config::TransactionConfig;
use super::describe::TransactionFilter;
use super::work::{Finished, Work};
use crate::base::ErrorCode;
use crate::base::ids::{ProducerId, TopicPartition};
use crate::coordinator::shard::{Producer, TransactionResult};

/// A producer wants to hold a transactional id (InitProducerId).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerId {
    pub id: StrBytes,
    /// Checked already.
    pub timeout_ms: i32,
    /// What the producer had before, if it wants to go on after an error (KIP-360).
    pub expected: Option<Producer>,
    /// A producer id nobody has, for the case that one is needed.
    pub fresh: Option<ProducerId>,
}

/// Partitions for the open transaction, or for the next (AddPartitionsToTxn, AddOffsetsToTxn, and what implies them).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitions {
    pub id: StrBytes,
    pub producer: Producer,
    pub partitions: BTreeSet<TopicPartition>,
    pub transaction_version: i16,
}

/// A producer ends its transaction (EndTxn).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    pub id: StrBytes,
    pub producer: Producer,
    pub result: TransactionResult,
    pub transaction_version: i16,
    /// As in [`InitProducerId`].
    pub fresh: Option<ProducerId>,
}

#[derive(Clone, Debug)]
pub enum TransactionRequest {
    Init(InitProducerId),
    Add(AddPartitions),
    /// Whether the open transaction includes these partitions; nothing is added.
    Verify(AddPartitions),
    End(EndTransaction),
    /// A transaction was found to have timed out.
    FenceTimedOut {
        id: StrBytes,
        producer: Producer,
        fresh: Option<ProducerId>,
    },
    /// The broker asks for what there is to do; the answer waits until there is something. `again`: earlier answers may have been lost.
    TakeWork {
        again: bool,
    },
    /// All markers of a transaction are written.
    Finished(Finished),
    Describe(Vec<StrBytes>),
    List(Arc<TransactionFilter>),
    Reconfigure(Arc<TransactionConfig>),
}

/// Why a producer does not get what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Error(ErrorCode),
    /// It would, but a fresh producer id is needed: ask again with one.
    NeedsProducerId,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Refused::Error(code)
    }
}

/// For each partition, why it is not in the transaction.
pub type Verified = Vec<(TopicPartition, Option<ErrorCode>)>;

macro_rules! responses {
    ($($variant:ident($type:ty),)*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub enum TransactionResponse {
            $($variant($type),)*
        }

        $(
            impl From<$type> for TransactionResponse {
                fn from(response: $type) -> Self {
                    TransactionResponse::$variant(response)
                }
            }

            impl From<TransactionResponse> for $type {
                /// # Panics
                /// If the shard answered with another kind: a request has one kind of answer.
                fn from(response: TransactionResponse) -> Self {
                    match response {
                        TransactionResponse::$variant(response) => response,
                        other => unreachable!("asked for {}, answered {other:?}", stringify!($variant)),
                    }
                }
            }
        )*
    };
}

responses! {
    Producer(Result<Producer, Refused>),
    Added(Result<(), ErrorCode>),
    Verified(Result<Verified, ErrorCode>),
    Work(Work),
    Described(Vec<describe_transactions_response::TransactionState>),
    Listed(Vec<list_transactions_response::TransactionState>),
    Done(()),
}
