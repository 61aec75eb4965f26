package klamm.clients;

import static klamm.clients.Cluster.topic;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** All of a transaction is read, or nothing of it. */
final class Transactions {
    private static final String NEED = "transactions";

    private Transactions() {
    }

    static void promises(Suite suite) {
        suite.needs(NEED, "transaction-commit", Transactions::commit);
        suite.needs(NEED, "transaction-abort", Transactions::abort);
        suite.needs(NEED, "transaction-fencing", Transactions::fencing);
        suite.needs(NEED, "transaction-offsets", Transactions::offsets);
        suite.needs(NEED, "transaction-restart", Transactions::restart);
    }

    private static KafkaProducer<String, String> transactional(String id) {
        KafkaProducer<String, String> producer = Cluster.producer("transactional.id", id, "transaction.timeout.ms", "60000");
        producer.initTransactions();
        return producer;
    }

    private static List<String> committed(String topic) {
        return Cluster.values(Cluster.readAll(topic, 2, "isolation.level", "read_committed"));
    }

    private static void send(KafkaProducer<String, String> producer, String topic, int partition, String value) throws Exception {
        producer.send(new ProducerRecord<>(topic, partition, null, value)).get(30, TimeUnit.SECONDS);
    }

    private static void commit() throws Exception {
        String topic = topic("commit", 2);
        try (KafkaProducer<String, String> producer = transactional(Cluster.unique("commit"))) {
            producer.beginTransaction();
            send(producer, topic, 0, "a");
            send(producer, topic, 1, "b");
            Expect.equal(List.of(), committed(topic), "values before the commit");
            producer.commitTransaction();
        }
        Expect.eventually("both are read", () -> Set.copyOf(committed(topic)).equals(Set.of("a", "b")));
    }

    private static void abort() throws Exception {
        String topic = topic("abort", 2);
        try (KafkaProducer<String, String> producer = transactional(Cluster.unique("abort"))) {
            for (int round = 0; round < 4; round++) {
                producer.beginTransaction();
                send(producer, topic, 0, "kept " + round);
                producer.commitTransaction();
                producer.beginTransaction();
                send(producer, topic, 0, "dropped " + round);
                producer.abortTransaction();
            }
        }
        List<String> kept = List.of("kept 0", "kept 1", "kept 2", "kept 3");
        Expect.eventually("the kept are read, and only they", () -> committed(topic).equals(kept));
        Expect.equal(8, Cluster.readAll(topic, 2).size(), "records read uncommitted");
    }

    private static void fencing() throws Exception {
        String topic = topic("fencing", 2);
        String id = Cluster.unique("fencing");
        try (KafkaProducer<String, String> old = transactional(id)) {
            old.beginTransaction();
            send(old, topic, 0, "of the old");
            try (KafkaProducer<String, String> fresh = transactional(id)) {
                fresh.beginTransaction();
                send(fresh, topic, 0, "of the new");
                fresh.commitTransaction();
                try {
                    send(old, topic, 0, "too late");
                    old.commitTransaction();
                    throw new AssertionError("the old producer was not fenced");
                } catch (ProducerFencedException | InvalidProducerEpochException | java.util.concurrent.ExecutionException fenced) {
                    Expect.eventually("only the new is read", () -> committed(topic).equals(List.of("of the new")));
                }
            }
        }
    }

    private static void offsets() throws Exception {
        String from = topic("from", 1);
        String to = topic("to", 2);
        String group = Cluster.unique("offsets");
        TopicPartition partition = new TopicPartition(from, 0);
        Cluster.sendNumbers(from, 0, 0, 20);
        try (KafkaProducer<String, String> producer = transactional(Cluster.unique("offsets"));
             KafkaConsumer<String, String> consumer = Cluster.consumer("group.id", group, "isolation.level", "read_committed")) {
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(15)), new ConsumerGroupMetadata(group));
            producer.abortTransaction();
            Expect.equal(null, consumer.committed(Set.of(partition)).get(partition), "offset after the abort");
            producer.beginTransaction();
            send(producer, to, 0, "carried");
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(5)), new ConsumerGroupMetadata(group));
            producer.commitTransaction();
            Expect.equal(5L, consumer.committed(Set.of(partition)).get(partition).offset(), "offset after the commit");
        }
        Expect.equal(List.of("carried"), committed(to), "values after the commit");
    }

    private static void restart() throws Exception {
        String topic = topic("restart", 2);
        String id = Cluster.unique("restart");
        try (KafkaProducer<String, String> producer = transactional(id)) {
            producer.beginTransaction();
            send(producer, topic, 0, "before");
            Cluster.control("restart");
            send(producer, topic, 1, "after");
            producer.commitTransaction();
            Expect.eventually("both are read", () -> Set.copyOf(committed(topic)).equals(Set.of("before", "after")));
            producer.beginTransaction();
            send(producer, topic, 0, "left open");
            Cluster.control("kill9");
            Cluster.control("start");
        }
        try (KafkaProducer<String, String> next = transactional(id)) {
            next.beginTransaction();
            send(next, topic, 0, "of the next");
            next.commitTransaction();
        }
        Expect.eventually("what was left open is not read",
            () -> Set.copyOf(committed(topic)).equals(Set.of("before", "after", "of the next")));
    }
}
