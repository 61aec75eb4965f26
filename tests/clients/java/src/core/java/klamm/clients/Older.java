package klamm.clients;

import org.apache.kafka.common.utils.AppInfoParser;

/** The promises that every Java client, however old, can ask for. */
public final class Older {
    private Older() {
    }

    public static void main(String[] args) {
        core(new Suite("java-" + AppInfoParser.getVersion()));
        System.exit(0);
    }

    static void core(Suite suite) {
        Records.promises(suite);
        Durability.promises(suite);
        Groups.promises(suite);
        Offsets.promises(suite);
        Admins.promises(suite);
        Errors.promises(suite);
        Transactions.promises(suite);
    }
}
