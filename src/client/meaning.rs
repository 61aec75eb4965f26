//! What the error codes that people meet mean, for brokers that send a code and no words.

use crate::base::ErrorCode;

/// A sentence without a full stop; `None` for codes whose name says it all or that no person meets.
pub fn meaning(code: ErrorCode) -> Option<&'static str> {
    use ErrorCode::*;
    Some(match code {
        UnknownServerError => "the broker met an error it did not expect; its log says more",
        OffsetOutOfRange => "the offset lies outside the log",
        CorruptMessage => "the batch arrived damaged",
        UnknownTopicOrPartition => "the broker has no such topic or partition",
        LeaderNotAvailable => "the partition has no leader now",
        NotLeaderOrFollower => "the broker does not hold the partition any more",
        RequestTimedOut => "the broker could not do it in time",
        MessageTooLarge => "the batch is larger than max.message.bytes of the topic allows",
        CoordinatorLoadInProgress => "the coordinator is still loading the group",
        CoordinatorNotAvailable => "the group has no coordinator now",
        NotCoordinator => "the broker does not coordinate the group any more",
        InvalidTopicException => "a topic's name has 1 to 249 letters, digits, '.', '_' and '-', and is not '.' or '..'",
        NotEnoughReplicas => "too few replicas are in sync",
        NotEnoughReplicasAfterAppend => "the records were written, but too few replicas are in sync",
        IllegalGeneration | UnknownMemberId => "the group does not count this member any more",
        RebalanceInProgress => "the group is sharing out its partitions",
        TopicAuthorizationFailed => "this client may not do that to the topic",
        GroupAuthorizationFailed => "this client may not do that to the group",
        ClusterAuthorizationFailed => "this client may not do that to the cluster",
        UnsupportedVersion => "the broker does not know this version of the request",
        TopicAlreadyExists => "there is a topic of that name",
        NonEmptyGroup => "the group still has members",
        GroupIdNotFound => "there is no such group",
        InvalidRecord => "the broker refuses the record",
        KafkaStorageError => "the log of the partition cannot be read or written; the broker's log says why",
        PolicyViolation => "a rule of the cluster forbids it",
        GroupSubscribedToTopic => "the group still reads the topic",
        UnknownTopicId => "the topic was deleted",
        UnstableOffsetCommit => "a transaction that commits offsets is still open",
        ConcurrentTransactions => "the transaction before is still being ended",
        TransactionalIdNotFound => "there is no such transactional id",
        InvalidProducerEpoch | ProducerFenced => "another producer has taken the transactional id",
        TransactionCoordinatorFenced => "another coordinator has taken over",
        FencedInstanceId => "another member with the same group.instance.id has joined",
        GroupMaxSizeReached => "the group has as many members as it may have",
        InvalidSessionTimeout => "the session timeout lies outside what the broker allows",
        InconsistentGroupProtocol => "the members of the group share no assignor",
        _ => return None,
    })
}
