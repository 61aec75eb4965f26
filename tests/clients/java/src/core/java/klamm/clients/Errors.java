package klamm.clients;

import static klamm.clients.Admins.get;
import static klamm.clients.Cluster.topic;

import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What is refused, and in which words: Kafka's. */
final class Errors {
    private Errors() {
    }

    static void promises(Suite suite) {
        suite.promise("error-unknown-topic", Errors::unknownTopic);
        suite.promise("error-invalid-topic", Errors::invalidTopic);
        suite.promise("error-topic-exists", Errors::topicExists);
        suite.promise("error-too-large", Errors::tooLarge);
        suite.promise("error-invalid-partitions", Errors::invalidPartitions);
        suite.promise("error-invalid-config", Errors::invalidConfig);
    }

    private static void unknownTopic() throws Exception {
        String none = Cluster.unique("none");
        String words = "This server does not host this topic-partition.";
        try (Admin admin = Cluster.admin(); var consumer = Cluster.consumer("allow.auto.create.topics", "false")) {
            Expect.fails(UnknownTopicOrPartitionException.class, words, () -> get(admin.deleteTopics(List.of(none)).all()));
            Expect.fails(UnknownTopicOrPartitionException.class, null,
                () -> get(admin.createPartitions(Map.of(none, NewPartitions.increaseTo(2))).all()));
            Expect.fails(UnknownTopicOrPartitionException.class, null,
                () -> get(admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, none))).all()));
            consumer.assign(List.of(new TopicPartition(none, 0)));
            Expect.isTrue(consumer.poll(java.time.Duration.ofMillis(500)).isEmpty(), "nothing comes from a topic that is not there");
            Expect.isTrue(!get(admin.listTopics().names()).contains(none), "asking did not create it");
        }
    }

    private static void invalidTopic() throws Exception {
        try (Admin admin = Cluster.admin(); KafkaProducer<String, String> producer = Cluster.producer()) {
            Expect.fails(InvalidTopicException.class, "Topic name is invalid: 'bad/topic' contains one or more characters other than "
                + "ASCII alphanumerics, '.', '_' and '-'", () -> get(create(admin, "bad/topic", 1, 1)));
            Expect.fails(InvalidTopicException.class, "Topic name is invalid: '..' is not allowed",
                () -> get(create(admin, "..", 1, 1)));
            Expect.fails(InvalidTopicException.class, "Topic name is invalid: the length of '" + "x".repeat(250)
                + "' is longer than the max allowed length 249", () -> get(create(admin, "x".repeat(250), 1, 1)));
            Expect.fails(InvalidTopicException.class, null,
                () -> producer.send(new ProducerRecord<>("bad topic", "v")).get(30, TimeUnit.SECONDS));
            String stem = Cluster.unique("dots");
            get(create(admin, stem + ".a_b", 1, 1));
            Expect.fails(InvalidTopicException.class, "Topic '" + stem + "_a.b' collides with existing topic: " + stem + ".a_b",
                () -> get(create(admin, stem + "_a.b", 1, 1)));
        }
    }

    private static org.apache.kafka.common.KafkaFuture<Void> create(Admin admin, String name, int partitions, int replicas) {
        return admin.createTopics(List.of(new NewTopic(name, partitions, (short) replicas))).all();
    }

    private static void topicExists() throws Exception {
        String topic = topic("exists", 1);
        try (Admin admin = Cluster.admin()) {
            Expect.fails(TopicExistsException.class, "Topic '" + topic + "' already exists.", () -> get(create(admin, topic, 1, 1)));
        }
    }

    private static void tooLarge() throws Exception {
        String topic = topic("too-large", 1, "max.message.bytes", "1000");
        try (KafkaProducer<byte[], byte[]> producer = Cluster.bytesProducer("retries", "0")) {
            producer.send(new ProducerRecord<>(topic, new byte[500])).get(30, TimeUnit.SECONDS);
            Expect.fails(RecordTooLargeException.class, "The request included a message larger than the max message size the server "
                + "will accept.", () -> producer.send(new ProducerRecord<>(topic, Cluster.bytes(5000))).get(30, TimeUnit.SECONDS));
            Expect.equal(1L, producer.send(new ProducerRecord<>(topic, new byte[500])).get(30, TimeUnit.SECONDS).offset(),
                "offset of the record after the refused one");
        }
    }

    private static void invalidPartitions() throws Exception {
        String topic = topic("partitions", 3);
        try (Admin admin = Cluster.admin()) {
            Expect.fails(InvalidPartitionsException.class, "Number of partitions was set to an invalid non-positive value.",
                () -> get(create(admin, Cluster.unique("none"), 0, 1)));
            Expect.fails(InvalidReplicationFactorException.class, "Unable to replicate the partition 2 time(s): The target replication "
                + "factor of 2 cannot be reached because only 1 broker(s) are registered or some brokers have all their log "
                + "directories cordoned.",
                () -> get(create(admin, Cluster.unique("two"), 1, 2)));
            Expect.fails(InvalidPartitionsException.class, "Topic already has 3 partition(s).",
                () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all()));
            Expect.fails(InvalidPartitionsException.class, "The topic " + topic + " currently has 3 partition(s); 2 would not be an "
                + "increase.", () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
        }
    }

    private static void invalidConfig() throws Exception {
        String topic = topic("config", 1);
        try (Admin admin = Cluster.admin()) {
            Expect.fails(InvalidConfigurationException.class, "Unknown topic config name: retention.minutes",
                () -> set(admin, topic, "retention.minutes", "1"));
            Expect.fails(InvalidConfigurationException.class, "Invalid value many for configuration retention.ms: Not a number of type "
                + "LONG", () -> set(admin, topic, "retention.ms", "many"));
            Expect.fails(InvalidConfigurationException.class, null, () -> set(admin, topic, "cleanup.policy", "keep"));
            NewTopic refused = new NewTopic(Cluster.unique("refused"), 1, (short) 1).configs(Map.of("segment.bytes", "1"));
            Expect.fails(InvalidConfigurationException.class, null, () -> get(admin.createTopics(List.of(refused)).all()));
        }
    }

    private static Void set(Admin admin, String topic, String key, String value) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        return get(admin.incrementalAlterConfigs(Map.of(resource, List.of(op))).all());
    }
}
