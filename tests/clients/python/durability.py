"""What was acknowledged outlives the broker's process."""

import threading
from collections import defaultdict

from adapters import Refused
from reading import made, numbers, read_all, send_numbers, take, values
from suite import control, equal, eventually, unique

PARTITIONS = 3
WINDOW = 1000  # records on their way at most


def every_ack_once_in_order(client, end):
    """A producer under load while the broker goes and comes back: each acknowledged record is there once, in order, where the ack said."""
    topic = made(client, "idempotent", PARTITIONS)
    producer = client.producer(idempotent=True, linger_ms=1)
    answers, acked, enough, failure = [], [], threading.Event(), []

    def disturb():
        try:
            eventually("acks before the end", lambda: len(acked) > 2000)
            control(end)
            before = len(acked)
            control("start")
            eventually("acks after the start", lambda: len(acked) > before + 2000)
        except AssertionError as error:
            failure.append(error)
        finally:
            enough.set()

    threading.Thread(target=disturb, daemon=True).start()
    while not enough.is_set():
        while len(answers) - len(acked) < WINDOW:
            answers.append(producer.send(topic, len(answers) % PARTITIONS, str(len(answers)).encode()))
        producer.poll()
        while len(acked) < len(answers) and answers[len(acked)].done():
            acked.append(answers[len(acked)].result(1))
    producer.flush()
    acked += [answer.result(90) for answer in answers[len(acked) :]]
    producer.close()
    if failure:
        raise failure[0]
    got, places = defaultdict(list), {}
    for record in read_all(client, topic, PARTITIONS):
        got[record.partition].append(int(record.value))
        places[int(record.value)] = (record.partition, record.offset)
    for partition in range(PARTITIONS):
        expected = list(range(partition, len(answers), PARTITIONS))
        there = got[partition]
        assert expected == there, (
            f"partition {partition} holds each record once, in order: {len(expected)} sent, {len(there)} there, {len(set(there))} different"
        )
    for number, ack in enumerate(acked):
        assert ack.offset == -1 or ack[:2] == places[number], f"record {number} lies at {places[number]}, its ack said {ack[:2]}"


def committed_offsets(client):
    topic, group = made(client, "committed"), unique("committed")
    send_numbers(client, topic, 0, 100)
    consumer = client.consumer(group=group)
    consumer.subscribe(topic)
    equal(numbers(0, 50), values(take(consumer, 100))[:50], "first half")
    consumer.commit({0: 50}, "half way")
    consumer.close()
    control("restart")
    consumer = client.consumer(group=group)
    found = []

    def answered():
        """The coordinator may say for a moment that it is not ready; anything else it says counts."""
        try:
            offset = consumer.committed(topic, 0)
            if offset or not client.hides_refusals:
                found.append(offset)
        except Refused as error:
            if error.code not in (14, 15, 16):
                raise
        return found

    eventually("the coordinator answers", answered)
    equal([(50, "half way")], found, "committed offset")
    consumer.subscribe(topic)
    equal(numbers(50, 100), values(take(consumer, 50)), "second half")
    consumer.close()


PROMISES = {
    "idempotent-restart": lambda client: every_ack_once_in_order(client, "stop"),
    "idempotent-kill9": lambda client: every_ack_once_in_order(client, "kill9"),
    "committed-offsets-restart": committed_offsets,
}
