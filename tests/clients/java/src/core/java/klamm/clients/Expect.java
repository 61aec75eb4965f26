package klamm.clients;

import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

/** What a promise is held to. */
final class Expect {
    static final Duration PATIENCE = Duration.ofSeconds(60);

    private Expect() {
    }

    static void equal(Object expected, Object got, String what) {
        if (!Objects.equals(expected, got)) {
            throw new AssertionError(what + ": expected " + brief(expected) + ", got " + brief(got));
        }
    }

    static void isTrue(boolean truth, String what) {
        if (!truth) {
            throw new AssertionError(what);
        }
    }

    /** The call must fail with {@code type} and, if one is given, with exactly this message. */
    static <E extends Throwable> E fails(Class<E> type, String message, Callable<?> call) throws Exception {
        Object result;
        try {
            result = call.call();
        } catch (Throwable thrown) {
            Throwable error = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            if (!type.isInstance(error)) {
                throw new AssertionError("expected " + type.getSimpleName() + ", got " + error, error);
            }
            if (message != null) {
                // A broker may say more than Kafka does, behind what Kafka says.
                if (error.getMessage() == null || !error.getMessage().startsWith(message)) {
                    equal(message, error.getMessage(), "the message of " + type.getSimpleName());
                }
            }
            return type.cast(error);
        }
        throw new AssertionError("expected " + type.getSimpleName() + ", got the answer " + brief(result));
    }

    /** Waits for a condition, looking every few milliseconds. */
    static void within(Duration limit, String what, Callable<Boolean> condition) throws Exception {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + limit.toSeconds() + " s: " + what);
            }
            Thread.sleep(10);
        }
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        within(PATIENCE, what, condition);
    }

    private static String brief(Object value) {
        String text = String.valueOf(value);
        return text.length() > 300 ? text.substring(0, 300) + "…" : text;
    }
}
