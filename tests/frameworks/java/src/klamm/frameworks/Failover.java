package klamm.frameworks;

import java.time.Duration;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.connect.mirror.MirrorClient;

/**
 * What an application asks that moves to the other cluster: where its group goes on there, by Kafka's own {@code MirrorClient}.
 *
 * <p>Arguments: bootstrap of the target, alias of the source, group. Prints the upstream clusters with the hops to each, the topics
 * of checkpoints, and a line {@code topic partition offset} for each translated offset.
 */
public final class Failover {
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    private Failover() {}

    public static void main(String[] args) throws Exception {
        try (MirrorClient client = new MirrorClient(Map.of("bootstrap.servers", args[0]))) {
            Set<String> upstream = client.upstreamClusters();
            if (upstream.contains(args[1])) {
                System.out.println("hops " + client.replicationHops(args[1]));
            }
            client.checkpointTopics().stream().sorted().forEach(topic -> System.out.println("checkpoints " + topic));
            client.remoteConsumerOffsets(args[2], args[1], PATIENCE)
                    .forEach((place, offset) ->
                            System.out.println("offset " + place.topic() + " " + place.partition() + " " + offset.offset()));
        }
    }
}
