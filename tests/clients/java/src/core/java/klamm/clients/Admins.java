package klamm.clients;

import static klamm.clients.Cluster.partitions;
import static klamm.clients.Cluster.topic;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;

/** The admin client: topics, configurations, groups, what a cluster tells of itself. */
final class Admins {
    private Admins() {
    }

    static void promises(Suite suite) {
        suite.promise("admin-topics", Admins::topics);
        suite.promise("admin-configs", Admins::configs);
        suite.promise("admin-delete-records", Admins::deleteRecords);
        suite.promise("admin-groups", Admins::groups);
        suite.promise("admin-group-offsets", Admins::groupOffsets);
        suite.promise("admin-cluster", Admins::cluster);
        suite.promise("admin-log-dirs", Admins::logDirs);
        suite.promise("admin-features", Admins::features);
        suite.promise("admin-elect-leaders", Admins::electLeaders);
        suite.needs("reassignments", "admin-reassignments", Admins::reassignments);
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(30, TimeUnit.SECONDS);
    }

    private static void topics() throws Exception {
        String topic = topic("topics", 3);
        try (Admin admin = Cluster.admin(); KafkaConsumer<String, String> consumer = Cluster.consumer()) {
            Expect.isTrue(get(admin.listTopics().names()).contains(topic), "the topic is listed");
            Expect.equal(3, consumer.partitionsFor(topic).size(), "partitions");
            consumer.partitionsFor(topic).forEach(partition -> {
                Expect.equal(1, partition.replicas().length, "replicas");
                Expect.equal(partition.leader(), partition.inSyncReplicas()[0], "leader and in-sync replica");
            });
            get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
            Expect.eventually("five partitions", () -> {
                try (KafkaConsumer<String, String> fresh = Cluster.consumer()) {
                    return fresh.partitionsFor(topic).size() == 5;
                }
            });
            Cluster.send(topic, 4, "in a partition that was added");
            get(admin.deleteTopics(List.of(topic)).all());
            Expect.eventually("the topic is gone", () -> !get(admin.listTopics().names()).contains(topic));
        }
        String again = topic("topics", 1);
        Cluster.send(again, 0, "of the first life");
        try (Admin admin = Cluster.admin()) {
            get(admin.deleteTopics(List.of(again)).all());
            Expect.eventually("the topic is gone", () -> !get(admin.listTopics().names()).contains(again));
            get(admin.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(again, 1, (short) 1))).all());
        }
        Expect.equal(0L, Cluster.send(again, 0, "of the second life").offset(), "first offset of a topic made anew");
        Expect.equal(List.of("of the second life"), Cluster.values(Cluster.readAll(again, 1)), "values of a topic made anew");
    }

    private static void configs() throws Exception {
        String topic = topic("configs", 1, "retention.ms", "3600000");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Cluster.admin()) {
            becomes(admin, resource, "retention.ms", "3600000", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            becomes(admin, resource, "max.message.bytes", "1048588", ConfigSource.DEFAULT_CONFIG);
            alter(admin, resource, OpType.SET, "segment.bytes", "2097152");
            becomes(admin, resource, "segment.bytes", "2097152", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(admin, resource, OpType.APPEND, "cleanup.policy", "compact");
            becomes(admin, resource, "cleanup.policy", "delete,compact", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(admin, resource, OpType.SUBTRACT, "cleanup.policy", "compact");
            becomes(admin, resource, "cleanup.policy", "delete", ConfigSource.DYNAMIC_TOPIC_CONFIG);
            alter(admin, resource, OpType.DELETE, "retention.ms", null);
            becomes(admin, resource, "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
            String node = get(admin.describeCluster().nodes()).iterator().next().idString();
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
            Expect.equal(node, config(admin, broker).get("node.id").value(), "node.id of the broker");
            Expect.isTrue(config(admin, broker).get("node.id").isReadOnly(), "node.id is read-only");
            alter(admin, broker, OpType.SET, "log.retention.ms", "7200000");
            becomes(admin, resource, "retention.ms", "7200000", ConfigSource.DYNAMIC_BROKER_CONFIG);
            alter(admin, broker, OpType.DELETE, "log.retention.ms", null);
            becomes(admin, resource, "retention.ms", "604800000", ConfigSource.DEFAULT_CONFIG);
        }
    }

    /** A broker may learn of a change after the controller answered. */
    private static void becomes(Admin admin, ConfigResource resource, String key, String value, ConfigSource source) throws Exception {
        Expect.eventually(key + " is " + value + " from " + source, () -> {
            ConfigEntry entry = config(admin, resource).get(key);
            return value.equals(entry.value()) && source == entry.source();
        });
    }

    private static Config config(Admin admin, ConfigResource resource) throws Exception {
        return get(admin.describeConfigs(List.of(resource)).all()).get(resource);
    }

    private static void alter(Admin admin, ConfigResource resource, OpType type, String key, String value) throws Exception {
        Collection<AlterConfigOp> ops = List.of(new AlterConfigOp(new ConfigEntry(key, value), type));
        get(admin.incrementalAlterConfigs(Map.of(resource, ops)).all());
    }

    private static void deleteRecords() throws Exception {
        String topic = topic("delete-records", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        Cluster.sendNumbers(topic, 0, 0, 100);
        try (Admin admin = Cluster.admin()) {
            var deleted = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(30))).lowWatermarks().get(partition);
            Expect.equal(30L, get(deleted).lowWatermark(), "low watermark");
            Expect.equal(Cluster.numbers(30, 100), Cluster.values(Cluster.readAll(topic, 1)), "values left");
            Expect.fails(OffsetOutOfRangeException.class, null,
                () -> get(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(101))).all()));
            var all = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(-1))).lowWatermarks().get(partition);
            Expect.equal(100L, get(all).lowWatermark(), "low watermark after deleting all");
        }
        Cluster.control("restart");
        try (KafkaConsumer<String, String> consumer = Cluster.consumer()) {
            Expect.equal(Map.of(partition, 100L), consumer.beginningOffsets(List.of(partition)), "beginning after a restart");
            Expect.equal(Map.of(partition, 100L), consumer.endOffsets(List.of(partition)), "end after a restart");
        }
    }

    private static void groups() throws Exception {
        String topic = topic("groups", 2);
        String group = Cluster.unique("groups");
        try (Admin admin = Cluster.admin()) {
            Groups.Member member = new Groups.Member(group, topic, ConcurrentHashMap.newKeySet(), "client.id", "sealed");
            Expect.eventually("the member owns all", () -> Groups.shared(topic, 2, member));
            Expect.isTrue(get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "the group is listed");
            Expect.eventually("stable", () -> describe(admin, group).state().toString().equals("Stable"));
            ConsumerGroupDescription stable = describe(admin, group);
            Expect.equal("range", stable.partitionAssignor(), "assignor");
            Expect.equal(1, stable.members().size(), "members");
            var described = stable.members().iterator().next();
            Expect.equal("sealed", described.clientId(), "client id");
            Expect.equal("/127.0.0.1", described.host(), "host");
            Expect.equal(Set.copyOf(partitions(topic, 2)), described.assignment().topicPartitions(), "assignment");
            Expect.equal(Optional.empty(), described.groupInstanceId(), "instance id");
            Expect.fails(GroupNotEmptyException.class, "The group is not empty.",
                () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
            member.close();
            Expect.eventually("empty", () -> describe(admin, group).state().toString().equals("Empty"));
            get(admin.alterConsumerGroupOffsets(group, Map.of(new TopicPartition(topic, 0), new OffsetAndMetadata(1))).all());
            get(admin.deleteConsumerGroups(List.of(group)).all());
            Expect.isTrue(get(admin.listConsumerGroups().all()).stream().noneMatch(g -> g.groupId().equals(group)), "the group is gone");
            Expect.fails(GroupIdNotFoundException.class, null, () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
        }
    }

    private static ConsumerGroupDescription describe(Admin admin, String group) throws Exception {
        return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static void groupOffsets() throws Exception {
        String topic = topic("group-offsets", 2);
        String group = Cluster.unique("group-offsets");
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        Cluster.sendNumbers(topic, 0, 0, 10);
        try (Admin admin = Cluster.admin()) {
            get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(7, "by hand"), one, new OffsetAndMetadata(0))).all());
            Map<TopicPartition, OffsetAndMetadata> offsets = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            Expect.equal(Map.of(zero, new OffsetAndMetadata(7, "by hand"), one, new OffsetAndMetadata(0)), offsets, "offsets");
            List<String> values = new ArrayList<>();
            try (KafkaConsumer<String, String> consumer = Cluster.consumer("group.id", group)) {
                consumer.subscribe(List.of(topic));
                values.addAll(Cluster.values(Cluster.take(consumer, 3)));
                Expect.fails(org.apache.kafka.common.errors.GroupSubscribedToTopicException.class, null,
                    () -> get(admin.deleteConsumerGroupOffsets(group, Set.of(one)).all()));
            }
            Expect.equal(Cluster.numbers(7, 10), values, "values from the altered offset");
            Expect.eventually("empty", () -> describe(admin, group).state().toString().equals("Empty"));
            get(admin.deleteConsumerGroupOffsets(group, Set.of(one)).all());
            offsets = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
            Expect.equal(Set.of(zero), offsets.keySet(), "partitions with an offset");
        }
    }

    private static void cluster() throws Exception {
        try (Admin admin = Cluster.admin()) {
            DescribeClusterResult cluster = admin.describeCluster();
            Collection<Node> nodes = get(cluster.nodes());
            Expect.equal(1, nodes.size(), "nodes");
            Node node = nodes.iterator().next();
            Expect.equal(Cluster.BOOTSTRAP, node.host() + ":" + node.port(), "address");
            Expect.equal(node, get(cluster.controller()), "controller");
            Expect.equal(22, get(cluster.clusterId()).length(), "length of the cluster id");
        }
    }

    private static void logDirs() throws Exception {
        String topic = topic("log-dirs", 1);
        Cluster.sendNumbers(topic, 0, 0, 100);
        try (Admin admin = Cluster.admin()) {
            int node = get(admin.describeCluster().nodes()).iterator().next().id();
            var dirs = get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
            Expect.equal(1, dirs.size(), "log directories");
            var dir = dirs.values().iterator().next();
            Expect.equal(null, dir.error(), "error of the log directory");
            var replica = dir.replicaInfos().get(new TopicPartition(topic, 0));
            Expect.isTrue(replica != null, "the replica is there");
            Expect.isTrue(replica.size() > 500, "its size is " + replica.size());
            Expect.equal(0L, replica.offsetLag(), "offset lag");
            Expect.equal(false, replica.isFuture(), "future");
        }
    }

    private static void features() throws Exception {
        try (Admin admin = Cluster.admin()) {
            var features = get(admin.describeFeatures().featureMetadata());
            Expect.isTrue(features.finalizedFeatures().containsKey("metadata.version"), "metadata.version is finalized");
            Expect.isTrue(features.supportedFeatures().containsKey("metadata.version"), "metadata.version is supported");
            Expect.isTrue(features.finalizedFeaturesEpoch().isPresent(), "the features have an epoch");
        }
    }

    private static void electLeaders() throws Exception {
        TopicPartition partition = new TopicPartition(topic("elect", 1), 0);
        try (Admin admin = Cluster.admin()) {
            var elected = get(admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions());
            Expect.isTrue(elected.get(partition).orElseThrow() instanceof ElectionNotNeededException,
                "the preferred leader leads already: " + elected);
            get(admin.electLeaders(ElectionType.PREFERRED, null).all());
        }
    }

    private static void reassignments() throws Exception {
        TopicPartition partition = new TopicPartition(topic("reassign", 1), 0);
        try (Admin admin = Cluster.admin()) {
            Expect.equal(Map.of(), get(admin.listPartitionReassignments().reassignments()), "reassignments");
            Expect.fails(org.apache.kafka.common.errors.NoReassignmentInProgressException.class, null,
                () -> get(admin.alterPartitionReassignments(Map.of(partition, Optional.empty())).all()));
            Expect.fails(org.apache.kafka.common.errors.InvalidReplicaAssignmentException.class, null,
                () -> get(admin.alterPartitionReassignments(Map.of(partition,
                    Optional.of(new org.apache.kafka.clients.admin.NewPartitionReassignment(List.of(4711))))).all()));
        }
    }
}
