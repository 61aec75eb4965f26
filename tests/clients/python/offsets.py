"""Where to read: by time, from either end, from anywhere between."""

from adapters import Refused
from reading import made, numbers, read_all, send_numbers, take, values
from suite import equal, eventually

BASE = 1_600_000_000_000


def by_time(client):
    topic = made(client, "by-time", configs={"retention.ms": "-1"})
    producer = client.producer(linger_ms=20)
    for i in range(100):
        producer.send(topic, 0, str(i).encode(), timestamp=BASE + i * 1000)
        if i % 10 == 9:
            producer.flush()
    producer.close()
    consumer = client.consumer()
    for time, offset in ((-1, 0), (0, 0), (1, 1), (41_500, 42), (50_000, 50), (99_000, 99)):
        equal(offset, consumer.offset_for_time(topic, 0, BASE + time), f"first offset at or after {time}")
    equal(None, consumer.offset_for_time(topic, 0, BASE + 99_001), "offset after the last")
    consumer.close()


def ends(client):
    topic = made(client, "ends", 2)
    send_numbers(client, topic, 0, 25)
    consumer = client.consumer()
    equal([(0, 25), (0, 0)], [tuple(consumer.ends(topic, partition)) for partition in (0, 1)], "ends")
    consumer.close()
    client.delete_records(topic, 0, 10)
    equal([10, 25], [client.list_offset(topic, 0, spec) for spec in ("earliest", "latest")], "ends after deleting records")
    equal(numbers(10, 25), values(read_all(client, topic, 2)), "values left")


def max_timestamp(client):
    topic = made(client, "max-timestamp", configs={"retention.ms": "-1"})
    producer = client.producer()
    for i in range(10):
        producer.send(topic, 0, b"v", timestamp=BASE + (1000 if i == 6 else i)).result(30)
    producer.close()
    equal(6, client.list_offset(topic, 0, "max-timestamp"), "offset of the greatest time stamp")


def seek(client):
    topic = made(client, "seek")
    send_numbers(client, topic, 0, 1000)
    consumer = client.consumer()
    consumer.assign(topic, [0])
    for offset in (500, 7, 999, 0, 123):
        consumer.seek(0, offset)
        record = take(consumer, 1)[0]
        equal((offset, str(offset).encode()), (record.offset, record.value), "record after a seek")
    consumer.seek(0, 5000)
    equal(b"0", take(consumer, 1)[0].value, "record after a seek behind the end, reset to earliest")
    consumer.close()


def from_end(client):
    topic = made(client, "from-end")
    send_numbers(client, topic, 0, 50)
    consumer = client.consumer(start="latest")
    consumer.assign(topic, [0])
    got = []

    # librdkafka tells no position before the first record, so single records show when it listens.
    def listens():
        send_numbers(client, topic, 50, 51)
        got.extend(consumer.poll(0.5))
        return bool(got)

    eventually("a record that was sent after", listens)
    equal([], [record for record in got if record.offset < 50], "records from before")
    consumer.close()


def out_of_range(client):
    topic = made(client, "out-of-range")
    send_numbers(client, topic, 0, 5)
    consumer = client.consumer(start="none" if client.name != "librdkafka" else "error")
    consumer.assign(topic, [0])
    consumer.seek(0, 6)
    try:
        take(consumer, 1)
        raise AssertionError("reading behind the end was not refused")
    except Refused as error:
        assert error.code in (1, -140), f"OFFSET_OUT_OF_RANGE, not {error}"
    finally:
        consumer.close()


PROMISES = {
    "offsets-by-time": by_time,
    "list-offsets": ends,
    "max-timestamp": max_timestamp,
    "seek": seek,
    "from-end": from_end,
    "error-offset-out-of-range": out_of_range,
}
