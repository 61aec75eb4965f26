"""All of a transaction is read, or nothing of it."""

import threading
import time

from reading import made, send_numbers
from suite import equal, eventually, unique

COMMITTED = "read_committed"


def transactional(client, name):
    producer = client.producer(transactional_id=name)
    producer.init_transactions()
    return producer


def committed(client, topic, seconds=1.0):
    """Values a reader of committed records gets; the wait ends early once `sentinel` comes."""
    consumer = client.consumer(isolation=COMMITTED)
    consumer.assign(topic, [0])
    records, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        records += [record.value for record in consumer.poll(0.1)]
    consumer.close()
    return records


def commit(client):
    topic = made(client, "commit")
    producer = transactional(client, unique("commit"))
    producer.begin()
    producer.send(topic, 0, b"a").result(30)
    producer.send(topic, 0, b"b").result(30)
    equal([], committed(client, topic), "values before the commit")
    producer.commit()
    eventually("both are read", lambda: committed(client, topic) == [b"a", b"b"])
    producer.close()


def abort(client):
    topic = made(client, "abort")
    producer = transactional(client, unique("abort"))
    for number in range(3):
        producer.begin()
        producer.send(topic, 0, f"kept {number}".encode()).result(30)
        producer.commit()
        producer.begin()
        producer.send(topic, 0, f"dropped {number}".encode()).result(30)
        producer.abort()
    eventually("the kept are read, and only they", lambda: committed(client, topic) == [b"kept 0", b"kept 1", b"kept 2"])
    producer.close()


def fencing(client):
    topic, name = made(client, "fencing"), unique("fencing")
    old = transactional(client, name)
    old.begin()
    old.send(topic, 0, b"of the old").result(30)
    fresh = transactional(client, name)
    fresh.begin()
    fresh.send(topic, 0, b"of the new").result(30)
    fresh.commit()
    try:
        old.send(topic, 0, b"too late").result(30)
        old.commit()
    except Exception as error:
        print(f"the old producer is refused: {error}")
    else:
        raise AssertionError("the old producer was not fenced")
    eventually("only the new is read", lambda: committed(client, topic) == [b"of the new"])
    fresh.close()
    threading.Thread(target=old.close, daemon=True).start()  # a fenced producer may not close in peace


def offsets(client):
    source, target, group = made(client, "from"), made(client, "to"), unique("offsets")
    send_numbers(client, source, 0, 20)
    consumer = client.consumer(group=group, isolation=COMMITTED)
    consumer.subscribe(source)
    eventually("the consumer owns its partition", lambda: consumer.poll(0.1) is not None and consumer.owned() == {0})
    producer = transactional(client, unique("offsets"))
    producer.begin()
    producer.send(target, 0, b"carried").result(30)
    producer.send_offsets(consumer, source, {0: 5})
    producer.commit()
    eventually("the offset is committed", lambda: (consumer.committed(source, 0) or (None,))[0] == 5)
    equal([b"carried"], committed(client, target), "values after the commit")
    producer.close()
    consumer.close()


PROMISES = {
    "transaction-commit": commit,
    "transaction-abort": abort,
    "transaction-fencing": fencing,
    "transaction-offsets": offsets,
}
NEEDS = dict.fromkeys(PROMISES, "transactions")
