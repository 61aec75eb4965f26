package klamm.frameworks;

import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.TimeWindows;

/**
 * The Streams application: orders ({@code id -> customer,amount}) are filtered, mapped to their customer, joined with the table
 * of customers ({@code customer -> region}), and counted and summed by region and minute.
 *
 * <p>The join and the windows each need a repartition topic, the table and the windows a store with its changelog. Nothing is
 * cached: each order that counts makes one record in {@code enriched} and one in {@code sums}, where a window's count goes up by one.
 */
public final class Orders {
    private static final Duration WINDOW = Duration.ofMinutes(1);
    /** Longer than all orders together, so none is late, in whatever order the partitions are read. */
    private static final Duration GRACE = Duration.ofHours(6);

    private Orders() {}

    static Topology topology(String name) {
        StreamsBuilder builder = new StreamsBuilder();
        KTable<String, String> regions = builder.table(name + ".customers");
        KStream<String, String> orders = builder.stream(name + ".orders");
        KStream<String, String> enriched = orders
                .filter((id, order) -> amount(order) % 10 != 0)
                .map((id, order) -> KeyValue.pair(order.split(",")[0], id + "," + amount(order)))
                .join(regions, (order, region) -> region + "," + order);
        enriched.map((customer, order) -> KeyValue.pair(order.split(",")[1], customer + "," + order)).to(name + ".enriched");
        enriched.groupBy((customer, order) -> order.split(",")[0])
                .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, GRACE))
                .aggregate(() -> "0,0", (region, order, sum) -> added(sum, amount(order)))
                .toStream()
                .map((window, sum) -> KeyValue.pair(window.key() + "@" + window.window().start(), sum))
                .to(name + ".sums");
        return builder.build();
    }

    private static long amount(String text) {
        return Long.parseLong(text.substring(text.lastIndexOf(',') + 1));
    }

    private static String added(String sum, long amount) {
        String[] parts = sum.split(",");
        return (Long.parseLong(parts[0]) + 1) + "," + (Long.parseLong(parts[1]) + amount);
    }

    public static void main(String[] args) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[1]);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, args[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, args[2].equals(StreamsConfig.EXACTLY_ONCE_V2) ? 200 : 2000);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6000);
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 1000);
        KafkaStreams streams = new KafkaStreams(topology(args[1]), settings);
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(30))));
        streams.start();
    }
}
