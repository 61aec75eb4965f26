package klamm.clients;

import static klamm.clients.Admins.get;
import static klamm.clients.Cluster.topic;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.utils.AppInfoParser;

/** All of the core promises, and those only the newest client can ask for. */
public final class Newest {
    private Newest() {
    }

    public static void main(String[] args) {
        Suite suite = new Suite("java-" + AppInfoParser.getVersion());
        Older.core(suite);
        suite.promise("max-timestamp", Newest::maxTimestamp);
        suite.promise("admin-describe-topics", Newest::describeTopics);
        suite.promise("admin-producers", Newest::producers);
        suite.promise("admin-quorum", Newest::quorum);
        suite.promise("error-unknown-group", Newest::unknownGroup);
        suite.needs("transactions", "admin-transactions", Newest::transactions);
        ModernGroups.promises(suite);
        Guarded.promises(suite);
        System.exit(0);
    }

    private static void maxTimestamp() throws Exception {
        String topic = topic("max-timestamp", 1, "retention.ms", "-1");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaProducer<String, String> producer = Cluster.producer(); Admin admin = Cluster.admin()) {
            Expect.equal(-1L, Admins.get(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition))
                .offset(), "offset of the greatest time stamp of nothing");
            for (int i = 0; i < 10; i++) {
                long time = 1_600_000_000_000L + (i == 6 ? 1000 : i);
                producer.send(new ProducerRecord<>(topic, 0, time, null, "v")).get(30, TimeUnit.SECONDS);
            }
            var found = Admins.get(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).partitionResult(partition));
            Expect.equal(6L, found.offset(), "offset of the greatest time stamp");
            Expect.equal(1_600_000_001_000L, found.timestamp(), "the greatest time stamp");
        }
    }

    private static void describeTopics() throws Exception {
        String topic = topic("described", 3);
        try (Admin admin = Cluster.admin()) {
            TopicDescription byName = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
            Expect.isTrue(!byName.topicId().equals(Uuid.ZERO_UUID), "the topic has an id");
            Expect.equal(3, byName.partitions().size(), "partitions");
            Expect.equal(false, byName.isInternal(), "internal");
            var byId = get(admin.describeTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(byName.topicId()))).allTopicIds());
            Expect.equal(topic, byId.get(byName.topicId()).name(), "name by id");
            Expect.equal(byName.topicId(), get(admin.listTopics().listings()).stream().filter(listing -> listing.name().equals(topic))
                .findFirst().orElseThrow().topicId(), "id in the list");
            get(admin.deleteTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(byName.topicId()))).all());
            Expect.fails(UnknownTopicOrPartitionException.class, "This server does not host this topic-partition.", () -> {
                Expect.eventually("gone", () -> !get(admin.listTopics().names()).contains(topic));
                return get(admin.describeTopics(List.of(topic)).allTopicNames());
            });
        }
    }

    private static void producers() throws Exception {
        String topic = topic("producers", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Admin admin = Cluster.admin(); KafkaProducer<String, String> producer = Cluster.producer("enable.idempotence", "true")) {
            Expect.equal(List.of(), get(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers(),
                "producers before the first record");
            for (int i = 0; i < 5; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, "v")).get(30, TimeUnit.SECONDS);
            }
            var active = get(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers();
            Expect.equal(1, active.size(), "producers");
            Expect.equal(0, active.get(0).producerEpoch(), "epoch");
            Expect.equal(4, active.get(0).lastSequence(), "last sequence");
            Expect.isTrue(Math.abs(active.get(0).lastTimestamp() - System.currentTimeMillis()) < 60_000, "last time stamp");
            Expect.isTrue(active.get(0).currentTransactionStartOffset().isEmpty(), "no transaction");
        }
    }

    private static void quorum() throws Exception {
        try (Admin admin = Cluster.admin()) {
            QuorumInfo quorum = get(admin.describeMetadataQuorum().quorumInfo());
            Expect.equal(1, quorum.voters().size(), "voters");
            Expect.equal(quorum.leaderId(), quorum.voters().get(0).replicaId(), "the only voter leads");
            Expect.isTrue(quorum.leaderEpoch() > 0, "epoch");
            Expect.isTrue(quorum.highWatermark() > 0, "high watermark");
            Expect.equal(quorum.leaderId(), get(admin.describeCluster().nodes()).iterator().next().id(), "the leader is this node");
        }
    }

    private static void unknownGroup() throws Exception {
        String none = Cluster.unique("none");
        try (Admin admin = Cluster.admin()) {
            Expect.fails(GroupIdNotFoundException.class, "Group " + none + " not found.",
                () -> get(admin.describeConsumerGroups(List.of(none)).all()));
            Expect.equal(Map.of(), get(admin.listConsumerGroupOffsets(none).partitionsToOffsetAndMetadata()), "offsets of no group");
        }
    }

    private static void transactions() throws Exception {
        String topic = topic("open", 1);
        String id = Cluster.unique("open");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (Admin admin = Cluster.admin(); KafkaProducer<String, String> producer = Cluster.producer("transactional.id", id)) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, null, "open")).get(30, TimeUnit.SECONDS);
            Expect.isTrue(get(admin.listTransactions().all()).stream().anyMatch(listing -> listing.transactionalId().equals(id)),
                "the transaction is listed");
            var described = get(admin.describeTransactions(List.of(id)).description(id));
            Expect.equal("Ongoing", described.state().toString(), "state");
            Expect.equal(Set.of(partition), described.topicPartitions(), "partitions");
            var active = get(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers().get(0);
            Expect.equal(0L, active.currentTransactionStartOffset().orElseThrow(), "start of the transaction");
            get(admin.abortTransaction(new org.apache.kafka.clients.admin.AbortTransactionSpec(
                partition, active.producerId(), (short) active.producerEpoch(), active.coordinatorEpoch().orElse(0))).all());
            Expect.eventually("the partition has no open transaction", () -> get(admin.describeProducers(List.of(partition))
                .partitionResult(partition)).activeProducers().get(0).currentTransactionStartOffset().isEmpty());
            get(admin.fenceProducers(List.of(id)).all());
        }
    }
}
