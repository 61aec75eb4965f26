package klamm.frameworks;

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.clients.ApiVersions;
import org.apache.kafka.clients.GroupRebalanceConfig;
import org.apache.kafka.clients.Metadata;
import org.apache.kafka.clients.MetadataRecoveryStrategy;
import org.apache.kafka.clients.NetworkClient;
import org.apache.kafka.clients.consumer.internals.AbstractCoordinator;
import org.apache.kafka.clients.consumer.internals.ConsumerNetworkClient;
import org.apache.kafka.common.internals.ClusterResourceListeners;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocolCollection;
import org.apache.kafka.common.message.JoinGroupResponseData.JoinGroupResponseMember;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.network.PlaintextChannelBuilder;
import org.apache.kafka.common.network.Selector;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;

/**
 * One registry among several that elect the one who writes, as Confluent's do: members of a group of type {@code sr}, protocol
 * {@code v0}, whose metadata is their identity; the group's leader assigns to all the identity it chose, the least.
 *
 * <p>Metadata and assignments are texts that mean nothing to the broker. {@link #poll} is for one thread, {@link #primary} for any.
 */
final class Elector extends AbstractCoordinator {
    private static final String TYPE = "sr";
    private static final String PROTOCOL = "v0";
    private static final int SESSION_MS = 6000;
    private static final int HEARTBEAT_MS = 1000;
    private static final int REBALANCE_MS = 10_000;
    private static final int REQUEST_MS = 20_000;
    private static final int BACKOFF_MS = 100;
    private static final int NO_BUFFER_SIZE = -1;

    private final String identity;
    private volatile String primary = "";

    private Elector(String identity, GroupRebalanceConfig group, LogContext log, ConsumerNetworkClient client, Metrics metrics) {
        super(group, log, client, metrics, "registry", Time.SYSTEM);
        this.identity = identity;
    }

    static Elector of(String bootstrap, String group, String identity) {
        Time time = Time.SYSTEM;
        LogContext log = new LogContext("[" + identity + "] ");
        Metrics metrics = new Metrics(time);
        Metadata metadata = new Metadata(BACKOFF_MS, 1000, 300_000, log, new ClusterResourceListeners());
        String[] address = bootstrap.split(":");
        metadata.bootstrap(List.of(new InetSocketAddress(address[0], Integer.parseInt(address[1]))));
        PlaintextChannelBuilder channels = new PlaintextChannelBuilder(null);
        channels.configure(Map.of());
        Selector selector = new Selector(540_000, metrics, time, "registry", channels, log);
        NetworkClient network = new NetworkClient(
                selector, metadata, identity, 100, 50, 500, NO_BUFFER_SIZE, NO_BUFFER_SIZE, REQUEST_MS, 10_000, 30_000, time, true,
                new ApiVersions(), log, MetadataRecoveryStrategy.NONE);
        ConsumerNetworkClient client =
                new ConsumerNetworkClient(log, network, metadata, time, BACKOFF_MS, REQUEST_MS, Integer.MAX_VALUE);
        GroupRebalanceConfig settings = new GroupRebalanceConfig(
                SESSION_MS, REBALANCE_MS, HEARTBEAT_MS, group, Optional.empty(), null, BACKOFF_MS, 1000);
        return new Elector(identity, settings, log, client, metrics);
    }

    /** The identity of who writes; empty while this is not known. */
    String primary() {
        return primary;
    }

    void poll() {
        ensureCoordinatorReady(time.timer(1000));
        if (coordinatorUnknown()) {
            return;
        }
        ensureActiveGroup();
        pollHeartbeat(time.milliseconds());
        client.poll(time.timer(Math.min(200, timeToNextHeartbeat(time.milliseconds()))));
    }

    @Override
    protected String protocolType() {
        return TYPE;
    }

    @Override
    protected JoinGroupRequestProtocolCollection metadata() {
        JoinGroupRequestProtocolCollection protocols = new JoinGroupRequestProtocolCollection();
        byte[] told = ("{\"identity\":\"" + identity + "\"}").getBytes(StandardCharsets.UTF_8);
        protocols.add(new JoinGroupRequestProtocol().setName(PROTOCOL).setMetadata(told));
        return protocols;
    }

    @Override
    protected boolean onJoinPrepare(Timer timer, int generation, String member) {
        primary = "";
        return true;
    }

    @Override
    protected Map<String, ByteBuffer> onLeaderElected(
            String leader, String protocol, List<JoinGroupResponseMember> members, boolean skip) {
        String chosen = members.stream().map(member -> identityIn(member.metadata())).min(Comparator.naturalOrder()).orElseThrow();
        Map<String, ByteBuffer> assignments = new HashMap<>();
        for (JoinGroupResponseMember member : members) {
            assignments.put(member.memberId(), ByteBuffer.wrap(chosen.getBytes(StandardCharsets.UTF_8)));
        }
        return assignments;
    }

    @Override
    protected void onJoinComplete(int generation, String member, String protocol, ByteBuffer assignment) {
        primary = StandardCharsets.UTF_8.decode(assignment).toString();
    }

    private static String identityIn(byte[] metadata) {
        String text = new String(metadata, StandardCharsets.UTF_8);
        return text.substring(text.indexOf(":\"") + 2, text.lastIndexOf('"'));
    }
}
