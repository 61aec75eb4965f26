package klamm.clients;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The broker under test: clients for it, topics on it, and the hook that restarts it. */
final class Cluster {
    static final String BOOTSTRAP = System.getenv("BOOTSTRAP");
    static final boolean QUICK = !System.getenv().getOrDefault("QUICK", "").isEmpty();

    private Cluster() {
    }

    /** A name nothing else has. */
    static String unique(String stem) {
        return stem + "-" + UUID.randomUUID().toString().substring(0, 8);
    }

    static String topic(String stem, int partitions, String... configs) throws Exception {
        String name = unique(stem);
        NewTopic topic = new NewTopic(name, partitions, (short) 1);
        topic.configs(map(configs));
        try (Admin admin = admin()) {
            admin.createTopics(List.of(topic)).all().get(30, TimeUnit.SECONDS);
        }
        return name;
    }

    static Admin admin() {
        return Admin.create(properties("default.api.timeout.ms", "30000"));
    }

    static KafkaProducer<String, String> producer(String... configs) {
        return new KafkaProducer<>(properties(configs), new StringSerializer(), new StringSerializer());
    }

    static KafkaProducer<byte[], byte[]> bytesProducer(String... configs) {
        return new KafkaProducer<>(properties(configs), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<String, String> consumer(String... configs) {
        return new KafkaConsumer<>(consuming(configs), new StringDeserializer(), new StringDeserializer());
    }

    static KafkaConsumer<byte[], byte[]> bytesConsumer(String... configs) {
        return new KafkaConsumer<>(consuming(configs), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Properties consuming(String... configs) {
        Properties properties = properties("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        properties.putAll(map(configs));
        return properties;
    }

    static Properties properties(String... configs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", BOOTSTRAP);
        properties.putAll(map(configs));
        return properties;
    }

    static Map<String, String> map(String... words) {
        Map<String, String> map = new java.util.LinkedHashMap<>();
        for (int i = 0; i < words.length; i += 2) {
            map.put(words[i], words[i + 1]);
        }
        return map;
    }

    static List<TopicPartition> partitions(String topic, int count) {
        List<TopicPartition> partitions = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            partitions.add(new TopicPartition(topic, i));
        }
        return partitions;
    }

    static RecordMetadata send(String topic, int partition, String value) throws Exception {
        try (KafkaProducer<String, String> producer = producer()) {
            return producer.send(new ProducerRecord<>(topic, partition, null, value)).get(30, TimeUnit.SECONDS);
        }
    }

    /** Sends values "0", "1", … to one partition. */
    static void sendNumbers(String topic, int partition, int from, int to) {
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = from; i < to; i++) {
                producer.send(new ProducerRecord<>(topic, partition, null, String.valueOf(i)));
            }
        }
    }

    /** Polls until {@code count} records came, at least. */
    static <K, V> List<ConsumerRecord<K, V>> take(KafkaConsumer<K, V> consumer, int count) {
        List<ConsumerRecord<K, V>> records = new ArrayList<>();
        long deadline = System.nanoTime() + Expect.PATIENCE.toNanos();
        while (records.size() < count) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("only " + records.size() + " of " + count + " records came");
            }
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    /** All records of a topic from the beginning to where its ends are now. */
    static List<ConsumerRecord<String, String>> readAll(String topic, int partitions, String... configs) {
        try (KafkaConsumer<String, String> consumer = consumer(configs)) {
            return readAll(consumer, partitions(topic, partitions));
        }
    }

    static <K, V> List<ConsumerRecord<K, V>> readAll(KafkaConsumer<K, V> consumer, List<TopicPartition> partitions) {
        consumer.assign(partitions);
        Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
        consumer.seekToBeginning(partitions);
        List<ConsumerRecord<K, V>> records = new ArrayList<>();
        long deadline = System.nanoTime() + Expect.PATIENCE.toNanos();
        while (!partitions.stream().allMatch(partition -> consumer.position(partition) >= ends.get(partition))) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("the ends " + ends + " were not reached, " + records.size() + " records came");
            }
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    static List<String> values(List<ConsumerRecord<String, String>> records) {
        List<String> values = new ArrayList<>();
        records.forEach(record -> values.add(record.value()));
        return values;
    }

    static List<String> numbers(int from, int to) {
        List<String> numbers = new ArrayList<>();
        for (int i = from; i < to; i++) {
            numbers.add(String.valueOf(i));
        }
        return numbers;
    }

    static byte[] bytes(int size) {
        byte[] bytes = new byte[size];
        new java.util.Random(size).nextBytes(bytes);
        return bytes;
    }

    static byte[] utf8(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    static String show(byte[] bytes) {
        return bytes == null ? "null" : bytes.length > 40 ? bytes.length + "#" + Arrays.hashCode(bytes) : Arrays.toString(bytes);
    }

    /** restart, stop, start or kill9; returns when it is done and, if started, the broker answers. */
    static void control(String verb) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("BROKER_CONTROL") + "/" + verb))
            .POST(HttpRequest.BodyPublishers.noBody())
            .build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        Expect.equal(200, answer.statusCode(), "broker control " + verb + ": " + answer.body());
    }
}
