package klamm.frameworks;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The log that a registry keeps its schemas in, made and checked as Confluent's registry does: one partition, compacted or the
 * registry does not start; whoever writes reads up to what it wrote before it answers.
 *
 * <p>Every read ends at an offset that is known to be there, so it never waits for records that may not come.
 */
final class SchemaLog implements AutoCloseable {
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    /** Written to find the end: the key of a record that means nothing. */
    private static final String NOTHING = "noop";

    private final TopicPartition place;
    private final KafkaProducer<String, String> producer;
    private final KafkaConsumer<String, String> consumer;
    private final SortedMap<String, String> schemas = new TreeMap<>();
    private long read;

    SchemaLog(String bootstrap, String topic) throws Exception {
        place = new TopicPartition(topic, 0);
        prepare(bootstrap, topic);
        producer = new KafkaProducer<>(
                Map.of("bootstrap.servers", bootstrap, "acks", "-1", "enable.idempotence", true, "reconnect.backoff.max.ms", 500),
                new StringSerializer(),
                new StringSerializer());
        consumer = new KafkaConsumer<>(
                Map.of(
                        "bootstrap.servers", bootstrap, "auto.offset.reset", "earliest", "enable.auto.commit", false,
                        "reconnect.backoff.max.ms", 500),
                new StringDeserializer(),
                new StringDeserializer());
        consumer.assign(List.of(place));
        consumer.seekToBeginning(List.of(place));
    }

    private static void prepare(String bootstrap, String topic) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            if (!admin.listTopics().names().get().contains(topic)) {
                int brokers = admin.describeCluster().nodes().get().size();
                NewTopic wanted = new NewTopic(topic, 1, (short) Math.min(3, brokers));
                create(admin, wanted.configs(Map.of("cleanup.policy", "compact")));
            }
            TopicDescription found = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            if (found.partitions().size() != 1) {
                throw new IllegalStateException(topic + " has " + found.partitions().size() + " partitions");
            }
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("cleanup.policy").value();
            if (!policy.equals("compact")) {
                throw new IllegalStateException(topic + " has the cleanup.policy " + policy);
            }
        }
    }

    /** Two registries that start at once may both try. */
    private static void create(Admin admin, NewTopic topic) throws Exception {
        try {
            admin.createTopics(List.of(topic)).all().get();
        } catch (ExecutionException refused) {
            if (!(refused.getCause() instanceof TopicExistsException)) {
                throw refused;
            }
        }
    }

    /** Writes a schema, or that it is gone, and returns its offset once this registry has read it itself. */
    synchronized long write(String subject, Optional<String> schema) throws Exception {
        long offset = producer.send(new ProducerRecord<>(place.topic(), subject, schema.orElse(null))).get().offset();
        readThrough(offset);
        return offset;
    }

    /** All schemas by subject as they are at the end of the log. */
    synchronized SortedMap<String, String> all() throws Exception {
        write(NOTHING, Optional.empty());
        return new TreeMap<>(schemas);
    }

    private void readThrough(long offset) {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (read <= offset) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("read to " + read + " and not through " + offset);
            }
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                if (record.value() == null) {
                    schemas.remove(record.key());
                } else {
                    schemas.put(record.key(), record.value());
                }
            }
            read = consumer.position(place);
        }
    }

    @Override
    public synchronized void close() {
        producer.close();
        consumer.close();
    }
}
