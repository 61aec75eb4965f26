package klamm.clients;

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Copies SOURCE to TARGET in transactions until it is killed; see loop/main.py. */
final class Copier {
    private Copier() {
    }

    public static void main(String[] arguments) {
        try {
            copy(System.getenv());
        } catch (Throwable error) {
            error.printStackTrace();
        }
        Runtime.getRuntime().halt(1);
    }

    private static void copy(Map<String, String> names) {
        KafkaProducer<byte[], byte[]> producer =
            Cluster.bytesProducer("transactional.id", names.get("TRANSACTIONAL_ID"), "transaction.timeout.ms", "20000");
        KafkaConsumer<byte[], byte[]> consumer = Cluster.bytesConsumer("group.id", names.get("GROUP"),
            "isolation.level", "read_committed", "session.timeout.ms", "6000", "max.poll.records", "50");
        producer.initTransactions();
        consumer.subscribe(List.of(names.get("SOURCE")));
        while (true) {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
            if (records.isEmpty()) {
                continue;
            }
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            producer.beginTransaction();
            for (ConsumerRecord<byte[], byte[]> record : records) {
                producer.send(new ProducerRecord<>(names.get("TARGET"), record.partition(), null, record.value()));
                offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
            }
            producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
            producer.commitTransaction();
        }
    }
}
