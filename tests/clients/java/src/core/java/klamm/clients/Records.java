package klamm.clients;

import static klamm.clients.Cluster.bytes;
import static klamm.clients.Cluster.partitions;
import static klamm.clients.Cluster.show;
import static klamm.clients.Cluster.topic;
import static klamm.clients.Cluster.utf8;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** What goes in comes out: codecs, shapes of records, time stamps, acks. */
final class Records {
    private Records() {
    }

    static void promises(Suite suite) {
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            suite.promise("roundtrip-" + codec, () -> roundtrip(codec));
        }
        suite.promise("record-shapes", Records::shapes);
        suite.promise("timestamps", Records::timestamps);
        for (String acks : new String[] {"0", "1", "all"}) {
            suite.promise("acks-" + acks, () -> acks(acks));
        }
        suite.promise("auto-create", Records::autoCreate);
    }

    private static void roundtrip(String codec) throws Exception {
        String topic = topic("roundtrip-" + codec, 3);
        int count = 3000;
        Map<Integer, List<String>> sent = new HashMap<>();
        List<java.util.concurrent.Future<RecordMetadata>> acks = new ArrayList<>();
        try (KafkaProducer<String, String> producer = Cluster.producer("compression.type", codec, "linger.ms", "5")) {
            for (int i = 0; i < count; i++) {
                acks.add(producer.send(new ProducerRecord<>(topic, "key " + i, "value " + i + " of the gorge ".repeat(i % 30))));
            }
            for (int i = 0; i < count; i++) {
                RecordMetadata at = acks.get(i).get(30, TimeUnit.SECONDS);
                List<String> partition = sent.computeIfAbsent(at.partition(), p -> new ArrayList<>());
                Expect.equal((long) partition.size(), at.offset(), "offset of record " + i);
                partition.add("key " + i + "=value " + i + " of the gorge ".repeat(i % 30));
            }
        }
        Map<Integer, List<String>> got = new HashMap<>();
        for (ConsumerRecord<String, String> record : Cluster.readAll(topic, 3)) {
            got.computeIfAbsent(record.partition(), p -> new ArrayList<>()).add(record.key() + "=" + record.value());
        }
        Expect.equal(sent, got, "records by partition");
    }

    private static void shapes() throws Exception {
        String topic = topic("shapes", 1);
        List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
        sent.add(new ProducerRecord<>(topic, 0, null, utf8("no key")));
        sent.add(new ProducerRecord<>(topic, 0, utf8("no value"), null));
        sent.add(new ProducerRecord<>(topic, 0, null, null));
        sent.add(new ProducerRecord<>(topic, 0, new byte[0], new byte[0]));
        sent.add(new ProducerRecord<>(topic, 0, utf8("Schlüssel 水"), bytes(1_000_000)));
        ProducerRecord<byte[], byte[]> headed = new ProducerRecord<>(topic, 0, utf8("headers"), utf8("three"));
        headed.headers().add("twice", utf8("a")).add("twice", utf8("b")).add("null", null).add("", new byte[0]);
        sent.add(headed);
        try (KafkaProducer<byte[], byte[]> producer = Cluster.bytesProducer()) {
            for (ProducerRecord<byte[], byte[]> record : sent) {
                producer.send(record).get(30, TimeUnit.SECONDS);
            }
        }
        try (KafkaConsumer<byte[], byte[]> consumer = Cluster.bytesConsumer()) {
            List<ConsumerRecord<byte[], byte[]>> got = Cluster.readAll(consumer, partitions(topic, 1));
            Expect.equal(sent.size(), got.size(), "records");
            for (int i = 0; i < sent.size(); i++) {
                Expect.equal(show(sent.get(i).key()), show(got.get(i).key()), "key " + i);
                Expect.equal(show(sent.get(i).value()), show(got.get(i).value()), "value " + i);
                Expect.equal(headers(sent.get(i).headers()), headers(got.get(i).headers()), "headers " + i);
            }
        }
    }

    private static String headers(Iterable<Header> headers) {
        StringBuilder text = new StringBuilder();
        headers.forEach(header -> text.append(header.key()).append('=').append(show(header.value())).append(' '));
        return text.toString();
    }

    private static void timestamps() throws Exception {
        String given = topic("create-time", 1, "retention.ms", "-1");
        long base = 1_600_000_000_000L;
        try (KafkaProducer<String, String> producer = Cluster.producer()) {
            for (int i = 0; i < 10; i++) {
                RecordMetadata at = producer.send(new ProducerRecord<>(given, 0, base + i * 7, null, "v")).get(30, TimeUnit.SECONDS);
                Expect.equal(base + i * 7, at.timestamp(), "time stamp in the answer");
            }
        }
        int i = 0;
        for (ConsumerRecord<String, String> record : Cluster.readAll(given, 1)) {
            Expect.equal(base + i++ * 7, record.timestamp(), "time stamp");
            Expect.equal(TimestampType.CREATE_TIME, record.timestampType(), "time stamp type");
        }
        String taken = topic("append-time", 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        long answered;
        try (KafkaProducer<String, String> producer = Cluster.producer()) {
            answered = producer.send(new ProducerRecord<>(taken, 0, base, null, "v")).get(30, TimeUnit.SECONDS).timestamp();
        }
        long after = System.currentTimeMillis();
        ConsumerRecord<String, String> record = Cluster.readAll(taken, 1).get(0);
        Expect.equal(TimestampType.LOG_APPEND_TIME, record.timestampType(), "time stamp type");
        Expect.isTrue(before <= answered && answered <= after, answered + " is the time of the append");
        Expect.equal(answered, record.timestamp(), "time of the append");
    }

    private static void acks(String acks) throws Exception {
        String topic = topic("acks-" + acks, 1);
        try (KafkaProducer<String, String> producer = Cluster.producer("acks", acks, "enable.idempotence", "false")) {
            for (int i = 0; i < 500; i++) {
                var sent = producer.send(new ProducerRecord<>(topic, 0, null, String.valueOf(i)));
                if (i % 100 == 0) {
                    long expected = acks.equals("0") ? -1 : i;
                    Expect.equal(expected, sent.get(30, TimeUnit.SECONDS).offset(), "offset answered");
                }
            }
        }
        try (KafkaConsumer<String, String> consumer = Cluster.consumer()) {
            consumer.assign(partitions(topic, 1));
            Expect.equal(Cluster.numbers(0, 500), Cluster.values(Cluster.take(consumer, 500)), "values");
        }
    }

    private static void autoCreate() throws Exception {
        String topic = Cluster.unique("made-by-use");
        Expect.equal(0L, Cluster.send(topic, 0, "first").offset(), "offset");
        Expect.equal(List.of("first"), Cluster.values(Cluster.readAll(topic, 1)), "values");
    }
}
