package klamm.clients;

import static klamm.clients.Cluster.topic;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** What was acknowledged outlives the broker's process. */
final class Durability {
    private static final int PARTITIONS = 3;
    /** Records on their way at most. */
    private static final int WINDOW = 2000;

    private Durability() {
    }

    static void promises(Suite suite) {
        suite.promise("idempotent-restart", () -> everyAckOnceInOrder("stop"));
        suite.promise("idempotent-kill9", () -> everyAckOnceInOrder("kill9"));
        suite.promise("committed-offsets-restart", Durability::committedOffsets);
    }

    /** A producer under load while the broker goes and comes back: each acknowledged record is there once, in order, where the ack said. */
    private static void everyAckOnceInOrder(String end) throws Exception {
        String topic = topic("idempotent", PARTITIONS);
        Map<Integer, TopicPartitionOffset> acked = new ConcurrentSkipListMap<>();
        AtomicReference<Exception> failed = new AtomicReference<>();
        AtomicBoolean enough = new AtomicBoolean();
        Semaphore window = new Semaphore(WINDOW);
        int sent;
        try (KafkaProducer<String, String> producer = Cluster.producer("enable.idempotence", "true", "acks", "all",
                "delivery.timeout.ms", "90000", "linger.ms", "1", "max.block.ms", "90000")) {
            Thread disturber = new Thread(() -> {
                try {
                    Expect.eventually("acks before the end", () -> acked.size() > 3000);
                    Cluster.control(end);
                    int before = acked.size();
                    Cluster.control("start");
                    Expect.eventually("acks after the start", () -> acked.size() > before + 3000);
                } catch (Exception | AssertionError error) {
                    failed.compareAndSet(null, new Exception(error));
                } finally {
                    enough.set(true);
                }
            });
            disturber.start();
            for (sent = 0; !enough.get(); sent++) {
                int number = sent;
                window.acquire();
                producer.send(new ProducerRecord<>(topic, number % PARTITIONS, null, String.valueOf(number)), (at, error) -> {
                    window.release();
                    if (error != null) {
                        failed.compareAndSet(null, error);
                    } else {
                        acked.put(number, new TopicPartitionOffset(at.partition(), at.offset()));
                    }
                });
            }
            disturber.join();
            producer.flush();
        }
        if (failed.get() != null) {
            throw failed.get();
        }
        Expect.equal(sent, acked.size(), "acknowledged");
        Map<Integer, List<String>> got = new HashMap<>();
        List<ConsumerRecord<String, String>> records = Cluster.readAll(topic, PARTITIONS);
        records.forEach(record -> got.computeIfAbsent(record.partition(), p -> new ArrayList<>()).add(record.value()));
        for (int partition = 0; partition < PARTITIONS; partition++) {
            List<String> expected = new ArrayList<>();
            for (int i = partition; i < sent; i += PARTITIONS) {
                expected.add(String.valueOf(i));
            }
            Expect.isTrue(expected.equals(got.get(partition)), "partition " + partition + " holds each record once, in order: "
                + expected.size() + " sent, " + got.get(partition).size() + " there, "
                + new java.util.HashSet<>(got.get(partition)).size() + " different");
        }
        for (ConsumerRecord<String, String> record : records) {
            TopicPartitionOffset place = new TopicPartitionOffset(record.partition(), record.offset());
            Expect.equal(place, acked.get(Integer.valueOf(record.value())), "place of record " + record.value());
        }
    }

    private record TopicPartitionOffset(int partition, long offset) {
    }

    private static void committedOffsets() throws Exception {
        String topic = topic("committed", 1);
        String group = Cluster.unique("committed");
        TopicPartition partition = new TopicPartition(topic, 0);
        Cluster.sendNumbers(topic, 0, 0, 100);
        try (KafkaConsumer<String, String> consumer = Cluster.consumer("group.id", group, "max.poll.records", "50")) {
            consumer.subscribe(List.of(topic));
            Expect.equal(Cluster.numbers(0, 50), Cluster.values(Cluster.take(consumer, 50)), "first half");
            consumer.commitSync(Map.of(partition, new OffsetAndMetadata(50, "half way")));
        }
        Cluster.control("restart");
        try (KafkaConsumer<String, String> consumer = Cluster.consumer("group.id", group)) {
            OffsetAndMetadata committed = consumer.committed(java.util.Set.of(partition)).get(partition);
            Expect.equal(50L, committed.offset(), "committed offset");
            Expect.equal("half way", committed.metadata(), "committed metadata");
            consumer.subscribe(List.of(topic));
            Expect.equal(Cluster.numbers(50, 100), Cluster.values(Cluster.take(consumer, 50)), "second half");
        }
    }
}
