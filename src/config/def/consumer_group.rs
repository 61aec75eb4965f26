//! Groups of the consumer protocol (KIP-848): the bounds a broker sets, and the keys of one group.

use super::keys;
use crate::config::key::Synonym;

keys! {
    /// Consumer groups of the new protocol (KIP-848), in which the broker assigns the partitions.
    pub struct ConsumerGroupConfig "Consumer groups" {
        /// How long a member may be silent before it is put out of its group; the default of groups.
        "group.consumer.session.timeout.ms" = "45000" => session_timeout_ms: i32 { millis, at_least(1) }

        /// Shortest session timeout that a group may set.
        "group.consumer.min.session.timeout.ms" = "45000" => min_session_timeout_ms: i32 { millis, at_least(1) }

        /// Longest session timeout that a group may set.
        "group.consumer.max.session.timeout.ms" = "60000" => max_session_timeout_ms: i32 { millis, at_least(1) }

        /// How often members are told to send a heartbeat; the default of groups.
        "group.consumer.heartbeat.interval.ms" = "5000" => heartbeat_interval_ms: i32 { millis, at_least(1) }

        /// Shortest heartbeat interval that a group may set.
        "group.consumer.min.heartbeat.interval.ms" = "5000" => min_heartbeat_interval_ms: i32 { millis, at_least(1) }

        /// Longest heartbeat interval that a group may set.
        "group.consumer.max.heartbeat.interval.ms" = "15000" => max_heartbeat_interval_ms: i32 { millis, at_least(1) }

        /// Members a group may have.
        "group.consumer.max.size" = "2147483647" => max_size: i32 { at_least(1) }
    }
}

keys! {
    /// The keys of one group, set on the resource GROUP.
    pub struct GroupConfig "Group" {
        /// How long a member may be silent before it is put out of the group.
        "consumer.session.timeout.ms" = "45000" => consumer_session_timeout_ms: i32
            { millis, at_least(1), synonyms(&[Synonym { name: "group.consumer.session.timeout.ms", factor: 1 }]) }

        /// How often members are told to send a heartbeat.
        "consumer.heartbeat.interval.ms" = "5000" => consumer_heartbeat_interval_ms: i32
            { millis, at_least(1), synonyms(&[Synonym { name: "group.consumer.heartbeat.interval.ms", factor: 1 }]) }
    }
}
