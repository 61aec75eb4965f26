"""The tools for what a broker may not have yet: transactions, ACLs, client metrics, credentials, quotas."""

from suite import eventually, unique
from tool import has, made, run


def transactions():
    topic = made("transactions")
    run(
        "producer-perf", "--topic", topic, "--num-records", 1000, "--record-size", 100, "--throughput", -1,
        "--transaction-duration-ms", 50, "--transactional-id", f"id-{topic}",
    )  # fmt: skip
    has(run("transactions", "list"), rf"^id-{topic}\s+\d+\s+\d+\s+CompleteCommit")
    has(run("transactions", "describe", "--transactional-id", f"id-{topic}"), r"CompleteCommit")
    has(run("transactions", "describe-producers", "--topic", topic, "--partition", 0), r"\tNone\s*$")
    has(run("transactions", "find-hanging", "--topic", topic, "--partition", 0), r"^Topic\s+\t?Partition")


def acls():
    topic, rule = unique("guarded"), r"\(principal=User:klamm, host=\*, operation=READ, permissionType=ALLOW\)"
    words = ("--allow-principal", "User:klamm", "--operation", "Read", "--topic", topic)
    has(run("acls", "--add", *words), rf"name={topic}, patternType=LITERAL\)`: *\n.*{rule}")
    eventually("the rule is listed", lambda: topic in run("acls", "--list"))
    run("acls", "--remove", *words, "--force")
    eventually("the rule is gone", lambda: topic not in run("acls", "--list"))


def scram():
    user = unique("user")
    entity = ("--entity-type", "users", "--entity-name", user)
    run("configs", "--alter", *entity, "--add-config", "SCRAM-SHA-256=[iterations=8192,password=secret]")
    eventually("the credential shows", lambda: "SCRAM-SHA-256=iterations=8192" in run("configs", "--describe", *entity))
    run("configs", "--alter", *entity, "--delete-config", "SCRAM-SHA-256")
    eventually("the credential is gone", lambda: "SCRAM" not in run("configs", "--describe", *entity))


def quotas():
    entity = ("--entity-type", "clients", "--entity-name", unique("client"))
    run("configs", "--alter", *entity, "--add-config", "producer_byte_rate=20000")
    eventually("the quota shows", lambda: "producer_byte_rate=20000" in run("configs", "--describe", *entity))


def client_metrics():
    name = unique("metrics")
    run("client-metrics", "--alter", "--name", name, "--metrics", "org.apache.kafka.producer.", "--interval", 30_000)
    eventually("the subscription is listed", lambda: name in run("client-metrics", "--list").split())
    has(run("client-metrics", "--describe", "--name", name), r"^\s*interval.ms=30000")
    run("client-metrics", "--delete", "--name", name)
    eventually("the subscription is gone", lambda: name not in run("client-metrics", "--list").split())


PROMISES = {
    "admin-transactions": transactions,
    "acls": acls,
    "scram-credentials": scram,
    "quotas": quotas,
    "client-metrics": client_metrics,
}
NEEDS = {
    "admin-transactions": "transactions",
    "acls": "acls",
    "scram-credentials": "scram",
    "quotas": "quotas",
    "client-metrics": "client-metrics",
}
