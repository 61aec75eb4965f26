package klamm.clients;

import java.util.Set;
import java.util.regex.Pattern;

/** Runs promises one after the other and says on standard output how each ended; see harness/suite.py for the form. */
final class Suite {
    /** What a broker promises, checked: it throws when the promise is broken. */
    interface Promise {
        void check() throws Exception;
    }

    final String client;
    private final Pattern match = Pattern.compile(System.getenv().getOrDefault("MATCH", ""));
    private final Set<String> done = Set.of(System.getenv().getOrDefault("DONE", "").split(","));
    private final Set<String> capabilities = Set.of(System.getenv().getOrDefault("CAPABILITIES", "").split(","));

    Suite(String client) {
        this.client = client;
    }

    void promise(String name, Promise promise) {
        if (!wanted(name)) {
            return;
        }
        say("start", name, "");
        try {
            promise.check();
            say("pass", name, "");
        } catch (Throwable error) {
            error.printStackTrace();
            say("fail", name, "\t" + oneLine(error));
        }
    }

    /** A promise that only a broker with {@code capability} makes. */
    void needs(String capability, String name, Promise promise) {
        if (capabilities.contains(capability)) {
            promise(name, promise);
        } else if (wanted(name)) {
            say("skip", name, "\tthe broker lacks " + capability);
        }
    }

    private boolean wanted(String name) {
        return match.matcher(client + " " + name).find() && !done.contains(client + "/" + name);
    }

    private void say(String verdict, String name, String note) {
        System.out.println("::" + verdict + "\t" + client + "\t" + name + note);
        System.out.flush();
    }

    private static String oneLine(Throwable error) {
        StackTraceElement place = null;
        for (StackTraceElement element : error.getStackTrace()) {
            if (element.getClassName().startsWith("klamm.clients") && !element.getClassName().endsWith("Expect")) {
                place = element;
                break;
            }
        }
        String where = place == null ? "" : " (" + place.getFileName() + ":" + place.getLineNumber() + ")";
        return error.toString().replaceAll("\\s+", " ") + where;
    }
}
