package klamm.clients;

import static klamm.clients.Admins.get;
import static klamm.clients.Cluster.topic;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;

/** The newer kinds of group: KIP-848 consumer groups and KIP-932 share groups. */
final class ModernGroups {
    private ModernGroups() {
    }

    static void promises(Suite suite) {
        suite.needs("consumer-groups-848", "group-848-rebalance", () -> Groups.rebalance("group.protocol", "consumer"));
        suite.needs("consumer-groups-848", "group-848-describe", ModernGroups::describe);
        suite.needs("share-groups", "share-group", ModernGroups::share);
    }

    private static void describe() throws Exception {
        String topic = topic("modern", 4);
        String group = Cluster.unique("modern");
        try (Admin admin = Cluster.admin()) {
            var member = new Groups.Member(group, topic, ConcurrentHashMap.newKeySet(), "group.protocol", "consumer");
            Expect.eventually("the member owns all", () -> Groups.shared(topic, 4, member));
            var described = get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
            Expect.equal(GroupType.CONSUMER, described.type(), "type");
            Expect.equal("Stable", described.groupState().toString(), "state");
            Expect.equal("uniform", described.partitionAssignor(), "assignor");
            Expect.equal(4, described.members().iterator().next().assignment().topicPartitions().size(), "partitions assigned");
            member.close();
            Expect.eventually("empty",
                () -> get(admin.describeConsumerGroups(List.of(group)).all()).get(group).groupState().toString().equals("Empty"));
        }
    }

    private static void share() throws Exception {
        String topic = topic("shared", 2);
        String group = Cluster.unique("shared");
        try (Admin admin = Cluster.admin()) {
            Collection<AlterConfigOp> ops = List.of(
                new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET));
            get(admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), ops)).all());
        }
        Cluster.sendNumbers(topic, 0, 0, 50);
        Cluster.sendNumbers(topic, 1, 50, 100);
        var properties = Cluster.properties("group.id", group, "share.acknowledgement.mode", "explicit");
        Set<String> accepted = new HashSet<>();
        List<String> released = new ArrayList<>();
        try (var consumer = new KafkaShareConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            Expect.eventually("every record is accepted", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    if (record.value().endsWith("7") && record.deliveryCount().orElse((short) 0) == 1) {
                        consumer.acknowledge(record, AcknowledgeType.RELEASE);
                        released.add(record.value());
                    } else {
                        consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                        Expect.isTrue(accepted.add(record.value()), "record " + record.value() + " comes once after it is accepted");
                    }
                }
                consumer.commitSync();
                return accepted.size() == 100;
            });
        }
        Expect.equal(10, released.size(), "records released and delivered again");
    }
}
