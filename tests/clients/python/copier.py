"""Copies SOURCE to TARGET in transactions, with librdkafka, until it is killed; see loop/main.py."""

import os

import confluent_kafka as ck


def main():
    settings = {"bootstrap.servers": os.environ["BOOTSTRAP"], "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 500}
    consumer = ck.Consumer({
        **settings,
        "group.id": os.environ["GROUP"],
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000,
    })
    producer = ck.Producer({**settings, "transactional.id": os.environ["TRANSACTIONAL_ID"], "transaction.timeout.ms": 20000})
    producer.init_transactions(60)
    consumer.subscribe([os.environ["SOURCE"]])
    while True:
        messages = consumer.consume(50, 0.2)
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            if message.error():
                raise ck.KafkaException(message.error())
            producer.produce(os.environ["TARGET"], message.value(), partition=message.partition())
        places = [at for at in consumer.position(consumer.assignment()) if at.offset >= 0]
        producer.send_offsets_to_transaction(places, consumer.consumer_group_metadata(), 60)
        producer.commit_transaction(60)


if __name__ == "__main__":
    main()
