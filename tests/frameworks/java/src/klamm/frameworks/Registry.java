package klamm.frameworks;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;

/**
 * A schema registry without its rules for schemas: what is left is what it needs of a broker.
 *
 * <p>Arguments: bootstrap, topic, group, port, which is its identity too. {@code GET /primary} names the registry that writes;
 * {@code PUT} and {@code DELETE /SUBJECT} answer the offset, or 409 where another is primary; {@code GET /} answers
 * {@code subject=schema} lines.
 */
public final class Registry {
    private final SchemaLog log;
    private final Elector elector;
    private final String identity;

    private Registry(SchemaLog log, Elector elector, String identity) {
        this.log = log;
        this.elector = elector;
        this.identity = identity;
    }

    public static void main(String[] args) throws Exception {
        Elector elector = Elector.of(args[0], args[2], args[3]);
        Registry registry = new Registry(new SchemaLog(args[0], args[1]), elector, args[3]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[3])), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/", registry::answer);
        server.start();
        AtomicBoolean running = new AtomicBoolean(true);
        Thread elections = new Thread(() -> {
            while (running.get()) {
                elector.poll();
            }
            elector.close();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            running.set(false);
            try {
                elections.join();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
            registry.log.close();
        }));
        elections.start();
    }

    private void answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getPath().substring(1);
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        int status = 200;
        String text;
        try {
            if (path.equals("primary")) {
                text = elector.primary();
            } else if (exchange.getRequestMethod().equals("GET")) {
                text = log.all().entrySet().stream().map(Object::toString).collect(Collectors.joining("\n"));
            } else if (!elector.primary().equals(identity)) {
                status = 409;
                text = elector.primary();
            } else {
                boolean gone = exchange.getRequestMethod().equals("DELETE");
                text = Long.toString(log.write(path, gone ? Optional.empty() : Optional.of(body)));
            }
        } catch (Exception error) {
            error.printStackTrace();
            status = 500;
            text = error.toString();
        }
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length == 0 ? -1 : bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }
}
