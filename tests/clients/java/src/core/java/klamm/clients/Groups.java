package klamm.clients;

import static klamm.clients.Cluster.topic;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;

/** Members of a group share its partitions, and nothing is lost while they come and go. */
final class Groups {
    private static final int PARTITIONS = 6;
    static final String[] RANGE = {};
    static final String[] COOPERATIVE = {
        "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"};

    private Groups() {
    }

    static void promises(Suite suite) {
        suite.promise("group-rebalance", () -> rebalance(RANGE));
        suite.promise("group-cooperative", () -> rebalance(COOPERATIVE));
        suite.promise("static-member", Groups::staticMember);
    }

    /** A member: a consumer on a thread of its own that commits what it handed over. */
    static final class Member implements AutoCloseable {
        final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        final AtomicInteger rebalances = new AtomicInteger();
        private final AtomicBoolean leave = new AtomicBoolean();
        private volatile Exception failed;
        private final Thread thread;

        Member(String group, String topic, Set<String> seen, String... configs) {
            List<String> words = new ArrayList<>(List.of("group.id", group));
            if (!Arrays.asList(configs).contains("group.protocol")) {
                words.addAll(List.of("heartbeat.interval.ms", "300"));
            }
            words.addAll(Arrays.asList(configs));
            String[] all = words.toArray(new String[0]);
            thread = new Thread(() -> {
                try (KafkaConsumer<String, String> consumer = Cluster.consumer(all)) {
                    consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                        @Override
                        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                            owned.removeAll(partitions);
                            rebalances.incrementAndGet();
                        }

                        @Override
                        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                            owned.addAll(partitions);
                            rebalances.incrementAndGet();
                        }
                    });
                    while (!leave.get()) {
                        var records = consumer.poll(Duration.ofMillis(50));
                        records.forEach(record -> seen.add(record.value()));
                        if (!records.isEmpty()) {
                            commit(consumer);
                        }
                    }
                } catch (Exception error) {
                    failed = error;
                }
            });
            thread.setDaemon(true);
            thread.start();
        }

        /** A commit that meets a rebalance is not lost: what was read since comes again, to whoever has the partition then. */
        private static void commit(KafkaConsumer<String, String> consumer) {
            try {
                consumer.commitSync();
            } catch (RebalanceInProgressException | CommitFailedException rebalancing) {
                System.err.println("a commit met a rebalance: " + rebalancing.getMessage());
            }
        }

        @Override
        public void close() throws Exception {
            leave.set(true);
            thread.join();
            if (failed != null) {
                throw failed;
            }
        }
    }

    /** Every partition belongs to exactly one of the members, and each has its even part. */
    static boolean shared(String topic, int partitions, Member... members) throws Exception {
        List<TopicPartition> all = new ArrayList<>();
        for (Member member : members) {
            if (member.failed != null) {
                throw member.failed;
            }
            if (member.owned.size() != partitions / members.length) {
                return false;
            }
            all.addAll(member.owned);
        }
        return all.size() == partitions && new HashSet<>(all).equals(new HashSet<>(Cluster.partitions(topic, partitions)));
    }

    static void rebalance(String... configs) throws Exception {
        String topic = topic("group", PARTITIONS);
        String group = Cluster.unique("group");
        Set<String> seen = ConcurrentHashMap.newKeySet();
        AtomicBoolean enough = new AtomicBoolean();
        AtomicInteger sent = new AtomicInteger();
        Thread load = new Thread(() -> {
            try (KafkaProducer<String, String> producer = Cluster.producer("linger.ms", "1")) {
                while (!enough.get()) {
                    int number = sent.getAndIncrement();
                    producer.send(new ProducerRecord<>(topic, number % PARTITIONS, null, String.valueOf(number)));
                    if (number % 100 == 0) {
                        producer.flush();
                        Expect.eventually("the members keep up", () -> enough.get() || number - seen.size() < 5000);
                    }
                }
            } catch (Exception error) {
                error.printStackTrace();
            }
        });
        load.setDaemon(true);
        load.start();
        try {
            Member first = new Member(group, topic, seen, configs);
            Expect.eventually("one member owns all", () -> shared(topic, PARTITIONS, first));
            Member second = new Member(group, topic, seen, configs);
            Expect.eventually("two members share", () -> shared(topic, PARTITIONS, first, second));
            Member third = new Member(group, topic, seen, configs);
            Expect.eventually("three members share", () -> shared(topic, PARTITIONS, first, second, third));
            first.close();
            Expect.eventually("the two that stay share", () -> shared(topic, PARTITIONS, second, third));
            second.close();
            Expect.eventually("the last owns all", () -> shared(topic, PARTITIONS, third));
            enough.set(true);
            load.join();
            Expect.eventually("every record was seen", () -> seen.size() >= sent.get());
            third.close();
        } finally {
            enough.set(true);
            load.join();
        }
        Expect.equal(new HashSet<>(Cluster.numbers(0, sent.get())), seen, "records seen");
    }

    private static void staticMember() throws Exception {
        String topic = topic("static", 4);
        String group = Cluster.unique("static");
        Set<String> seen = ConcurrentHashMap.newKeySet();
        Member one = new Member(group, topic, seen, "group.instance.id", "one", "session.timeout.ms", "30000");
        Member two = new Member(group, topic, seen, "group.instance.id", "two", "session.timeout.ms", "30000");
        Expect.eventually("both share", () -> shared(topic, 4, one, two));
        Set<TopicPartition> before = Set.copyOf(two.owned);
        int rebalances = one.rebalances.get();
        two.close();
        Member again = new Member(group, topic, seen, "group.instance.id", "two", "session.timeout.ms", "30000");
        Expect.eventually("the member that came back has what it had", () -> again.owned.equals(before));
        for (int partition = 0; partition < 4; partition++) {
            Cluster.send(topic, partition, "after " + partition);
        }
        Expect.eventually("both read on", () -> seen.size() == 4);
        Expect.equal(rebalances, one.rebalances.get(), "rebalances the other member saw");
        one.close();
        again.close();
    }
}
