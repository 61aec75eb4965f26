//! Records and histories for tests: some by hand, many by chance.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use smallvec::smallvec;
use uuid::Uuid;

use super::*;

pub fn broker(id: i32) -> BrokerRegistration {
    BrokerRegistration {
        id,
        epoch: i64::from(id),
        incarnation_id: Uuid::from_u128(9000 + id as u128),
        endpoints: vec![Endpoint { name: "PLAINTEXT".into(), host: "localhost".into(), port: 9092, security_protocol: 0 }],
        features: BTreeMap::from([(Arc::from(METADATA_VERSION), VersionRange { min: 7, max: 30 })]),
        rack: None,
        log_dirs: vec![Uuid::from_u128(500 + id as u128)],
        fenced: false,
        in_controlled_shutdown: false,
        registered_at: -1,
    }
}

pub fn claim(epoch: i32) -> RecordBatch {
    RecordBatch { claim_epoch: epoch, seq: 0, records: vec![MetadataRecord::ClaimController { epoch, controller_id: 1 }] }
}

pub fn topic(id: u128, name: &str) -> MetadataRecord {
    MetadataRecord::Topic { topic_id: Uuid::from_u128(id), name: name.into() }
}

pub fn partition(topic_id: u128, partition: i32) -> MetadataRecord {
    let registration = PartitionRegistration::new(smallvec![1, 2], smallvec![DIRECTORY_UNASSIGNED; 2], smallvec![1, 2]);
    MetadataRecord::Partition { topic_id: Uuid::from_u128(topic_id), partition, registration }
}

pub fn replay_all(mut image: MetadataImage, history: &[RecordBatch]) -> MetadataImage {
    for batch in history {
        image.apply(image.offset() + 1, batch, &mut MetadataDelta::default()).unwrap();
    }
    image
}

fn any_text() -> impl Strategy<Value = Arc<str>> {
    "[a-z._]{0,6}".prop_map(Arc::from)
}

fn any_uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn any_replicas() -> impl Strategy<Value = Replicas> {
    proptest::collection::vec(any::<i32>(), 0..6).prop_map(Replicas::from_vec)
}

fn any_partition() -> impl Strategy<Value = PartitionRegistration> {
    let lists = (any_replicas(), any_replicas(), any_replicas(), any_replicas());
    let numbers = (any::<i32>(), any::<i32>(), any::<i32>(), any::<bool>());
    (any_replicas(), any_replicas(), any_uuid(), numbers, lists).prop_map(
        |(replicas, isr, dir, numbers, (elr, last, adding, removing))| {
            let directories = std::iter::repeat_n(dir, replicas.len()).collect();
            let mut p = PartitionRegistration::new(replicas, directories, isr);
            (p.leader, p.leader_epoch, p.partition_epoch, p.recovering) = numbers;
            p.set_rare(elr, last, adding, removing);
            p
        },
    )
}

fn any_change() -> impl Strategy<Value = PartitionChange> {
    let lists = proptest::collection::vec(proptest::option::of(any_replicas()), 6);
    let dirs = proptest::option::of(proptest::collection::vec(any_uuid(), 0..3));
    (any_uuid(), any::<i32>(), lists, dirs, any::<Option<i32>>(), any::<Option<bool>>()).prop_map(
        |(topic_id, partition, mut lists, dirs, leader, recovering)| PartitionChange {
            topic_id,
            partition,
            isr: lists.pop().flatten(),
            leader,
            replicas: lists.pop().flatten(),
            directories: dirs.map(Directories::from_vec),
            removing: lists.pop().flatten(),
            adding: lists.pop().flatten(),
            elr: lists.pop().flatten(),
            last_known_elr: lists.pop().flatten(),
            recovering,
        },
    )
}

fn any_broker() -> impl Strategy<Value = BrokerRegistration> {
    let flags = (any::<bool>(), any::<bool>(), proptest::option::of(0..i64::MAX));
    let dirs = proptest::collection::vec(any_uuid(), 0..3);
    (any::<i32>(), any::<i64>(), any_uuid(), any_text(), proptest::option::of(any_text()), dirs, any::<u16>(), flags).prop_map(
        |(id, epoch, incarnation_id, text, rack, log_dirs, port, (fenced, in_controlled_shutdown, registered_at))| {
            BrokerRegistration {
                id,
                epoch,
                incarnation_id,
                endpoints: vec![Endpoint { name: text.clone(), host: text.clone(), port, security_protocol: 3 }],
                features: BTreeMap::from([(text, VersionRange { min: -1, max: i16::MAX })]),
                rack,
                log_dirs,
                fenced,
                in_controlled_shutdown,
                registered_at: registered_at.unwrap_or(-1),
            }
        },
    )
}

/// Any record at all, sense or not.
pub fn any_record() -> impl Strategy<Value = MetadataRecord> {
    let kind = proptest::sample::select(vec![
        ResourceType::Topic,
        ResourceType::Broker,
        ResourceType::BrokerLogger,
        ResourceType::ClientMetrics,
        ResourceType::Group,
    ]);
    prop_oneof![
        any::<(i32, i32)>().prop_map(|(epoch, controller_id)| MetadataRecord::ClaimController { epoch, controller_id }),
        (any_text(), any::<i64>()).prop_map(|(cluster_id, created_ms)| MetadataRecord::ClusterInit { cluster_id, created_ms }),
        (any_text(), any::<i16>()).prop_map(|(name, level)| MetadataRecord::FeatureLevel { name, level }),
        any_broker().prop_map(|b| MetadataRecord::RegisterBroker(Box::new(b))),
        (any::<(i32, i64, Option<bool>, Option<bool>)>(), proptest::option::of(proptest::collection::vec(any_uuid(), 0..3)))
            .prop_map(|((broker_id, broker_epoch, fenced, in_controlled_shutdown), log_dirs)| {
                MetadataRecord::BrokerRegistrationChange { broker_id, broker_epoch, fenced, in_controlled_shutdown, log_dirs }
            }),
        any::<(i32, i64)>().prop_map(|(broker_id, broker_epoch)| MetadataRecord::UnregisterBroker { broker_id, broker_epoch }),
        (any_uuid(), any_text()).prop_map(|(topic_id, name)| MetadataRecord::Topic { topic_id, name }),
        any_uuid().prop_map(|topic_id| MetadataRecord::RemoveTopic { topic_id }),
        (any_uuid(), any::<i32>(), any_partition()).prop_map(|(topic_id, partition, registration)| MetadataRecord::Partition {
            topic_id,
            partition,
            registration
        }),
        any_change().prop_map(|c| MetadataRecord::PartitionChange(Box::new(c))),
        (kind, any_text(), any_text(), proptest::option::of(any_text()))
            .prop_map(|(kind, name, key, value)| MetadataRecord::Config { resource: ConfigResource { kind, name }, key, value }),
        any::<(i32, i64, i64)>().prop_map(|(broker_id, broker_epoch, next)| MetadataRecord::ProducerIds {
            broker_id,
            broker_epoch,
            next
        }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Grow(u8),
    Change(u8, bool),
    Remove(u8),
    Configure(u8, bool),
    Register(i32),
    Fence(i32, bool),
    Unregister(i32),
    Feature(i16),
    Ids,
    Claim,
}

/// Batches that make sense one after the other, as a controller would write them.
pub fn any_history() -> impl Strategy<Value = Vec<RecordBatch>> {
    let step = prop_oneof![
        3 => (0u8..8).prop_map(Step::Create),
        3 => (0u8..8).prop_map(Step::Grow),
        3 => (0u8..8, any::<bool>()).prop_map(|(t, lead)| Step::Change(t, lead)),
        1 => (0u8..8).prop_map(Step::Remove),
        2 => (0u8..8, any::<bool>()).prop_map(|(t, set)| Step::Configure(t, set)),
        1 => (1i32..4).prop_map(Step::Register),
        1 => (1i32..4, any::<bool>()).prop_map(|(b, fenced)| Step::Fence(b, fenced)),
        1 => (1i32..4).prop_map(Step::Unregister),
        1 => (0i16..3).prop_map(Step::Feature),
        1 => Just(Step::Ids),
        1 => Just(Step::Claim),
    ];
    proptest::collection::vec(step, 0..40).prop_map(|steps| {
        let mut image = MetadataImage::default();
        let mut history = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let name: fn(u8) -> String = |t| ["a.b", "a-b", "c", "d_e", "f", "g", "h", "i"][t as usize].to_owned();
            let id_of = |image: &MetadataImage, t| image.topics().id_of(&name(t));
            let records: Vec<MetadataRecord> = match step {
                Step::Create(t) if id_of(&image, t).is_none() => {
                    let id = 1000 + n as u128;
                    vec![topic(id, &name(t)), partition(id, 0)]
                }
                Step::Grow(t) => image
                    .topic(&name(t))
                    .map(|found| partition(found.id.as_u128(), found.partitions.len() as i32))
                    .into_iter()
                    .collect(),
                Step::Change(t, lead) => id_of(&image, t)
                    .map(|topic_id| {
                        let change = PartitionChange {
                            topic_id,
                            leader: lead.then_some(1),
                            recovering: Some(!lead),
                            ..Default::default()
                        };
                        MetadataRecord::PartitionChange(Box::new(change))
                    })
                    .into_iter()
                    .collect(),
                Step::Remove(t) => {
                    id_of(&image, t).map(|topic_id| MetadataRecord::RemoveTopic { topic_id }).into_iter().collect()
                }
                Step::Configure(t, set) => vec![MetadataRecord::Config {
                    resource: ConfigResource::topic(name(t)),
                    key: "retention.ms".into(),
                    value: set.then(|| n.to_string().into()),
                }],
                Step::Register(id) => {
                    let registration = BrokerRegistration { epoch: image.next_broker_epoch(), ..broker(id) };
                    vec![MetadataRecord::RegisterBroker(Box::new(registration))]
                }
                Step::Fence(id, fenced) => image
                    .broker(id)
                    .map(|b| MetadataRecord::BrokerRegistrationChange {
                        broker_id: id,
                        broker_epoch: b.epoch,
                        fenced: Some(fenced),
                        in_controlled_shutdown: None,
                        log_dirs: None,
                    })
                    .into_iter()
                    .collect(),
                Step::Unregister(id) => image
                    .broker(id)
                    .map(|b| MetadataRecord::UnregisterBroker { broker_id: id, broker_epoch: b.epoch })
                    .into_iter()
                    .collect(),
                Step::Feature(level) => vec![MetadataRecord::FeatureLevel { name: "f".into(), level }],
                Step::Ids => {
                    vec![MetadataRecord::ProducerIds { broker_id: 1, broker_epoch: 1, next: image.next_producer_id() + 1000 }]
                }
                Step::Create(_) | Step::Claim => vec![],
            };
            let batch = match (&step, records.is_empty()) {
                (Step::Claim, _) => claim(image.claim_epoch() + 1),
                (_, true) => continue,
                (_, false) => RecordBatch { claim_epoch: image.claim_epoch(), seq: image.last_seq() + 1, records },
            };
            image = replay_all(image, std::slice::from_ref(&batch));
            history.push(batch);
        }
        history
    })
}
