package klamm.clients;

import static klamm.clients.Admins.get;
import static klamm.clients.Cluster.topic;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Who may, how much, and what is kept: ACLs, credentials, quotas, compaction. */
final class Guarded {
    private Guarded() {
    }

    static void promises(Suite suite) {
        suite.needs("acls", "acls", Guarded::acls);
        suite.needs("scram", "scram-credentials", Guarded::scram);
        suite.needs("quotas", "quotas", Guarded::quotas);
        suite.needs("compaction", "compaction", Guarded::compaction);
    }

    private static void acls() throws Exception {
        ResourcePattern pattern = new ResourcePattern(ResourceType.TOPIC, Cluster.unique("guarded"), PatternType.PREFIXED);
        AclBinding binding = new AclBinding(pattern, new AccessControlEntry("User:klamm", "*", AclOperation.READ, AclPermissionType.ALLOW));
        try (Admin admin = Cluster.admin()) {
            get(admin.createAcls(List.of(binding)).all());
            Expect.eventually("the binding is described", () -> get(admin.describeAcls(binding.toFilter()).values()).size() == 1);
            Expect.equal(List.of(binding), List.copyOf(get(admin.deleteAcls(List.of(binding.toFilter())).all())), "bindings deleted");
            Expect.eventually("the binding is gone", () -> get(admin.describeAcls(binding.toFilter()).values()).isEmpty());
        }
    }

    private static void scram() throws Exception {
        String user = Cluster.unique("user");
        ScramCredentialInfo info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192);
        try (Admin admin = Cluster.admin()) {
            get(admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(user, info, "secret"))).all());
            Expect.eventually("the credential is described", () -> get(admin.describeUserScramCredentials().all()).containsKey(user)
                && get(admin.describeUserScramCredentials(List.of(user)).description(user)).credentialInfos().equals(List.of(info)));
            get(admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_256))).all());
            Expect.eventually("the credential is gone", () -> !get(admin.describeUserScramCredentials().all()).containsKey(user));
        }
    }

    private static void quotas() throws Exception {
        String client = Cluster.unique("client");
        ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
        ClientQuotaFilter filter = ClientQuotaFilter.containsOnly(
            List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.CLIENT_ID, client)));
        try (Admin admin = Cluster.admin()) {
            var set = new ClientQuotaAlteration.Op("producer_byte_rate", 20_000.0);
            get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(set)))).all());
            Expect.eventually("the quota is described",
                () -> get(admin.describeClientQuotas(filter).entities()).equals(Map.of(entity, Map.of("producer_byte_rate", 20_000.0))));
            String topic = topic("quota", 1);
            try (KafkaProducer<byte[], byte[]> producer = Cluster.bytesProducer("client.id", client)) {
                long throttled = System.nanoTime();
                for (int i = 0; i < 4; i++) {
                    producer.send(new ProducerRecord<>(topic, new byte[100_000])).get(60, TimeUnit.SECONDS);
                }
                Expect.isTrue(System.nanoTime() - throttled > 1_000_000_000L, "a client over its quota is slowed");
            }
            var unset = new ClientQuotaAlteration.Op("producer_byte_rate", null);
            get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(unset)))).all());
            Expect.eventually("the quota is gone", () -> get(admin.describeClientQuotas(filter).entities()).isEmpty());
        }
    }

    private static void compaction() throws Exception {
        String topic = topic("compacted", 1, "cleanup.policy", "compact", "segment.ms", "100", "min.cleanable.dirty.ratio", "0.01",
            "delete.retention.ms", "0");
        try (KafkaProducer<String, String> producer = Cluster.producer()) {
            for (int round = 0; round < 5; round++) {
                for (int key = 0; key < 10; key++) {
                    producer.send(new ProducerRecord<>(topic, 0, "key " + key, "round " + round)).get(30, TimeUnit.SECONDS);
                }
            }
            Expect.eventually("each key is left once", () -> {
                producer.send(new ProducerRecord<>(topic, 0, "roll", "on")).get(30, TimeUnit.SECONDS);
                var left = Cluster.readAll(topic, 1).stream().filter(record -> record.key().startsWith("key")).collect(Collectors.toList());
                Set<String> values = left.stream().map(record -> record.key() + record.value()).collect(Collectors.toSet());
                return left.size() == 10 && values.stream().allMatch(value -> value.endsWith("round 4"));
            });
        }
    }
}
