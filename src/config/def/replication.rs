//! Brokers among themselves: who is alive, who is in sync.

use super::keys;

keys! {
    /// How the controller knows that a broker lives.
    pub struct ReplicationConfig "Replication" {
        /// How often the high watermark of each partition is noted on the disk.
        "replica.high.watermark.checkpoint.interval.ms" = "5000" => replica_high_watermark_checkpoint_interval_ms: i64
            { millis, at_least(1) }

        /// How often a broker tells the controller that it lives.
        "broker.heartbeat.interval.ms" = "2000" => broker_heartbeat_interval_ms: i32 { millis, at_least(1) }

        /// How long the controller waits for a sign of life before it fences a broker.
        "broker.session.timeout.ms" = "9000" => broker_session_timeout_ms: i32 { millis, at_least(1) }

        /// How long a broker that starts waits for the controller to register it before it gives up.
        "initial.broker.registration.timeout.ms" = "60000" => initial_broker_registration_timeout_ms: i32 { millis, at_least(1) }
    }
}
