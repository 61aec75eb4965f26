//! The cluster as this node's metadata has it, the quorum, and this broker's place in it.

use super::def::metrics;
use super::samples::Samples;

metrics! {
    /// The state of the broker and the cluster as this node knows it. Counts of the cluster are told by the active controller only, so
    /// that sums over all nodes are right.
    area "Controller and cluster";

    /// State of the broker, in Kafka's numbers: 1 starting, 2 recovering or fenced, 3 running, 7 stopping.
    pub BROKER_STATE = gauge "kafka_server_kafkaserver_brokerstate" [];

    /// 1 on the active controller, else 0.
    pub ACTIVE_CONTROLLERS = gauge "kafka_controller_kafkacontroller_activecontrollercount" [];

    /// Brokers that are registered and alive.
    pub ACTIVE_BROKERS = gauge "kafka_controller_kafkacontroller_activebrokercount" [];

    /// Brokers that are registered and fenced: not heard of, or not ready.
    pub FENCED_BROKERS = gauge "kafka_controller_kafkacontroller_fencedbrokercount" [];

    /// Topics in the cluster.
    pub TOPICS = gauge "kafka_controller_kafkacontroller_globaltopiccount" [];

    /// Partitions in the cluster.
    pub PARTITIONS = gauge "kafka_controller_kafkacontroller_globalpartitioncount" [];

    /// Partitions without a leader, and those of which the leader cannot open the log.
    pub OFFLINE_PARTITIONS = gauge "kafka_controller_kafkacontroller_offlinepartitionscount" [];

    /// Partitions led by another replica than the preferred one.
    pub PREFERRED_IMBALANCE = gauge "kafka_controller_kafkacontroller_preferredreplicaimbalancecount" [];

    /// Node that leads the metadata quorum; -1 if none is known.
    pub QUORUM_LEADER = gauge "kafka_server_raft_metrics_current_leader" [];

    /// Epoch of the metadata quorum.
    pub QUORUM_EPOCH = gauge "kafka_server_raft_metrics_current_epoch" [];

    /// Last offset of the metadata log known to be committed.
    pub QUORUM_COMMITTED = gauge "kafka_server_raft_metrics_high_watermark" [];

    /// Last offset of the metadata log that this broker has taken into its image.
    pub METADATA_APPLIED = gauge "kafka_server_broker_metadata_metrics_last_applied_record_offset" [];
}

/// State of a broker, in Kafka's numbers (`BrokerState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum BrokerState {
    Starting = 1,
    Recovery = 2,
    Running = 3,
    PendingControlledShutdown = 6,
    ShuttingDown = 7,
}

/// What the active controller tells of the cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClusterGauges {
    pub active_brokers: usize,
    pub fenced_brokers: usize,
    pub topics: usize,
    pub partitions: usize,
    pub offline_partitions: usize,
    /// Partitions led by another replica than the preferred one.
    pub not_preferred: usize,
}

/// How the metadata quorum stands, seen from this node.
#[derive(Clone, Copy, Debug)]
pub struct QuorumGauges {
    pub leader: Option<i32>,
    pub epoch: i64,
    pub committed_offset: i64,
    /// What this node's image holds.
    pub applied_offset: i64,
}

impl Samples {
    pub fn broker_state(&mut self, state: BrokerState) {
        self.add(&BROKER_STATE, &[], state as i64);
    }

    /// `cluster` only on the active controller.
    pub fn controller(&mut self, cluster: Option<ClusterGauges>) {
        self.add(&ACTIVE_CONTROLLERS, &[], i64::from(cluster.is_some()));
        let cluster = cluster.unwrap_or_default();
        let gauges = [
            (&ACTIVE_BROKERS, cluster.active_brokers),
            (&FENCED_BROKERS, cluster.fenced_brokers),
            (&TOPICS, cluster.topics),
            (&PARTITIONS, cluster.partitions),
            (&OFFLINE_PARTITIONS, cluster.offline_partitions),
            (&PREFERRED_IMBALANCE, cluster.not_preferred),
        ];
        for (metric, value) in gauges {
            self.add(metric, &[], value);
        }
    }

    pub fn quorum(&mut self, quorum: QuorumGauges) {
        self.add(&QUORUM_LEADER, &[], quorum.leader.unwrap_or(-1));
        self.add(&QUORUM_EPOCH, &[], quorum.epoch);
        self.add(&QUORUM_COMMITTED, &[], quorum.committed_offset);
        self.add(&METADATA_APPLIED, &[], quorum.applied_offset);
    }
}
