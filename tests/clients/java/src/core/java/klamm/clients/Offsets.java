package klamm.clients;

import static klamm.clients.Cluster.partitions;
import static klamm.clients.Cluster.topic;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Where to read: by time, from either end, from anywhere between. */
final class Offsets {
    private Offsets() {
    }

    static void promises(Suite suite) {
        suite.promise("offsets-by-time", Offsets::byTime);
        suite.promise("list-offsets", Offsets::ends);
        suite.promise("seek", Offsets::seek);
        suite.promise("from-end", Offsets::fromEnd);
        suite.promise("error-offset-out-of-range", Offsets::outOfRange);
        suite.promise("fetch-sessions", Offsets::sessions);
    }

    private static void byTime() throws Exception {
        String topic = topic("by-time", 1, "retention.ms", "-1");
        TopicPartition partition = new TopicPartition(topic, 0);
        long base = 1_600_000_000_000L;
        try (KafkaProducer<String, String> producer = Cluster.producer("linger.ms", "1000")) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, base + i * 1000L, null, String.valueOf(i)));
                if (i % 10 == 9) {
                    producer.flush();
                }
            }
        }
        try (KafkaConsumer<String, String> consumer = Cluster.consumer()) {
            long[][] asked = {{base - 1, 0}, {base, 0}, {base + 1, 1}, {base + 41_500, 42}, {base + 50_000, 50}, {base + 99_000, 99}};
            for (long[] pair : asked) {
                OffsetAndTimestamp at = consumer.offsetsForTimes(Map.of(partition, pair[0])).get(partition);
                Expect.equal(pair[1], at.offset(), "first offset at or after " + pair[0]);
                Expect.equal(base + pair[1] * 1000, at.timestamp(), "its time stamp");
            }
            Expect.equal(null, consumer.offsetsForTimes(Map.of(partition, base + 99_001)).get(partition), "offset after the last");
        }
    }

    private static void ends() throws Exception {
        String topic = topic("ends", 2);
        Cluster.sendNumbers(topic, 0, 0, 25);
        List<TopicPartition> both = partitions(topic, 2);
        TopicPartition first = both.get(0);
        try (KafkaConsumer<String, String> consumer = Cluster.consumer(); Admin admin = Cluster.admin()) {
            Expect.equal(Map.of(both.get(0), 0L, both.get(1), 0L), consumer.beginningOffsets(both), "beginnings");
            Expect.equal(Map.of(both.get(0), 25L, both.get(1), 0L), consumer.endOffsets(both), "ends");
            admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(10))).all().get(30, TimeUnit.SECONDS);
            Expect.equal(10L, listed(admin, first, OffsetSpec.earliest()), "earliest");
            Expect.equal(25L, listed(admin, first, OffsetSpec.latest()), "latest");
            Expect.equal(Cluster.numbers(10, 25), Cluster.values(Cluster.readAll(topic, 2)), "values left");
        }
    }

    static long listed(Admin admin, TopicPartition partition, OffsetSpec spec) throws Exception {
        return admin.listOffsets(Map.of(partition, spec)).partitionResult(partition).get(30, TimeUnit.SECONDS).offset();
    }

    private static void seek() throws Exception {
        String topic = topic("seek", 1);
        List<TopicPartition> partition = partitions(topic, 1);
        Cluster.sendNumbers(topic, 0, 0, 1000);
        try (KafkaConsumer<String, String> consumer = Cluster.consumer("max.poll.records", "10")) {
            consumer.assign(partition);
            for (int offset : new int[] {500, 7, 999, 0, 123}) {
                consumer.seek(partition.get(0), offset);
                ConsumerRecord<String, String> record = Cluster.take(consumer, 1).get(0);
                Expect.equal(offset + "@" + offset, record.value() + "@" + record.offset(), "record after a seek");
            }
            consumer.seekToEnd(partition);
            Expect.equal(1000L, consumer.position(partition.get(0)), "position at the end");
            consumer.seekToBeginning(partition);
            Expect.equal(0L, consumer.position(partition.get(0)), "position at the beginning");
            consumer.seek(partition.get(0), 5000);
            Expect.equal("0", Cluster.take(consumer, 1).get(0).value(), "record after a seek behind the end, reset to earliest");
        }
    }

    private static void fromEnd() throws Exception {
        String topic = topic("from-end", 1);
        Cluster.sendNumbers(topic, 0, 0, 50);
        try (KafkaConsumer<String, String> consumer = Cluster.consumer("auto.offset.reset", "latest")) {
            consumer.assign(partitions(topic, 1));
            Expect.equal(50L, consumer.position(new TopicPartition(topic, 0)), "position");
            Cluster.sendNumbers(topic, 0, 50, 60);
            Expect.equal(Cluster.numbers(50, 60), Cluster.values(Cluster.take(consumer, 10)), "values");
        }
    }

    private static void outOfRange() throws Exception {
        String topic = topic("out-of-range", 1);
        Cluster.sendNumbers(topic, 0, 0, 5);
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = Cluster.consumer("auto.offset.reset", "none")) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 6);
            OffsetOutOfRangeException error = Expect.fails(OffsetOutOfRangeException.class, null, () -> Cluster.take(consumer, 1));
            Expect.equal(Map.of(partition, 6L), error.offsetOutOfRangePartitions(), "partitions out of range");
        }
    }

    /** Many partitions, few with news: a session that forgets or repeats a partition would show here. */
    private static void sessions() throws Exception {
        int count = 40;
        String topic = topic("sessions", count);
        List<TopicPartition> all = partitions(topic, count);
        try (KafkaConsumer<String, String> consumer = Cluster.consumer(); KafkaProducer<String, String> producer = Cluster.producer()) {
            consumer.assign(all);
            List<String> expected = new ArrayList<>();
            List<String> got = new ArrayList<>();
            for (int round = 0; round < 30; round++) {
                int partition = round * 7 % count;
                producer.send(new ProducerRecord<>(topic, partition, null, "round " + round)).get(30, TimeUnit.SECONDS);
                expected.add("round " + round);
                got.addAll(Cluster.values(Cluster.take(consumer, 1)));
            }
            Expect.equal(expected, got, "one record a round");
            consumer.assign(all.subList(0, count / 2));
            Set<String> second = new HashSet<>();
            for (int partition = 0; partition < count; partition++) {
                producer.send(new ProducerRecord<>(topic, partition, null, "second " + partition)).get(30, TimeUnit.SECONDS);
                if (partition < count / 2) {
                    second.add("second " + partition);
                }
            }
            Set<String> values = new HashSet<>(Cluster.values(Cluster.take(consumer, second.size())));
            consumer.poll(Duration.ZERO).forEach(record -> values.add(record.value()));
            Expect.equal(second, values, "records of the partitions that stayed");
        }
    }
}
