// Records what a Kafka broker answers to DescribeConfigs, for src/config/kafka_parity.rs to compare with. Start a Kafka with nothing but
// its node id, listeners, quorum and log.dirs configured, then:
//
//   java -cp "$KAFKA_HOME/libs/*" DescribeConfigs.java localhost:9092 1 > kafka-4.3.1-configs.tsv
//
// One line a key: resource, name, type, default (\N is null, ? unknown), read-only or dynamic, names of the synonyms, first to last.

import java.util.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.config.ConfigResource;

public class DescribeConfigs {
    public static void main(String[] args) throws Exception {
        try (var admin = Admin.create(Map.of("bootstrap.servers", args[0]))) {
            admin.createTopics(List.of(new NewTopic("described", 1, (short) 1))).all().get();
            for (var resource : List.of(
                    new ConfigResource(ConfigResource.Type.BROKER, args[1]),
                    new ConfigResource(ConfigResource.Type.GROUP, "described"),
                    new ConfigResource(ConfigResource.Type.TOPIC, "described"))) {
                var options = new DescribeConfigsOptions().includeSynonyms(true);
                var entries = new ArrayList<>(admin.describeConfigs(List.of(resource), options).all().get().get(resource).entries());
                entries.sort(Comparator.comparing(ConfigEntry::name));
                for (var entry : entries) {
                    System.out.println(String.join("\t",
                        resource.type().name(), entry.name(), entry.type().name(), defaultOf(entry),
                        entry.isReadOnly() ? "read-only" : "dynamic",
                        entry.synonyms().stream().map(s -> s.name()).distinct().collect(Collectors.joining(","))));
                }
            }
        }
    }

    static String defaultOf(ConfigEntry entry) {
        var declared = entry.synonyms().stream().filter(s -> s.source() == ConfigEntry.ConfigSource.DEFAULT_CONFIG).findFirst();
        if (declared.isPresent()) return declared.get().value();
        if (entry.source() != ConfigEntry.ConfigSource.DEFAULT_CONFIG) return "?";
        return entry.value() == null ? "\\N" : entry.value();
    }
}
