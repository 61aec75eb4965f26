package main

import "strings"

// What is refused, with Kafka's codes.
var refusals = []Promise{
	{name: "error-unknown-topic", check: unknownTopic},
	{name: "error-invalid-topic", check: invalidTopic},
	{name: "error-topic-exists", check: topicExists},
	{name: "error-too-large", check: tooLarge},
	{name: "error-invalid-partitions", check: invalidPartitions},
	{name: "error-invalid-config", check: invalidConfig},
}

func unknownTopic(client Client) error {
	none := unique("none")
	refused(3, client.DeleteTopic(none), "deleting what is not there")
	refused(3, client.CreatePartitions(none, 2), "adding partitions to what is not there")
	_, err := client.Configs(none)
	refused(3, err, "describing what is not there")
	return nil
}

func invalidTopic(client Client) error {
	for _, name := range []string{"bad/topic", "..", strings.Repeat("x", 250)} {
		refused(17, client.CreateTopic(name, 1, 1, nil), name)
	}
	return nil
}

func topicExists(client Client) error {
	refused(36, client.CreateTopic(made(client, "exists", 1), 1, 1, nil), "creating what is there")
	return nil
}

func tooLarge(client Client) error {
	topic := made(client, "too-large", 1, "max.message.bytes", "1000")
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	_, err = send(producer, Record{Topic: topic, Value: make([]byte, 500)})
	must(err, "a record that fits")
	_, err = send(producer, Record{Topic: topic, Value: make([]byte, 5000)})
	refused(10, err, "a record that does not fit")
	at, err := send(producer, Record{Topic: topic, Value: make([]byte, 500)})
	must(err, "the record after the refused one")
	equal(int64(1), at.Offset, "offset of the record after the refused one")
	return nil
}

func invalidPartitions(client Client) error {
	topic := made(client, "partitions", 3)
	refused(38, client.CreateTopic(unique("two"), 1, 2, nil), "two replicas on one broker")
	refused(37, client.CreatePartitions(topic, 3), "as many partitions as there are")
	refused(37, client.CreatePartitions(topic, 2), "fewer partitions")
	return nil
}

func invalidConfig(client Client) error {
	topic := made(client, "config", 1)
	refused(40, client.AlterConfig(topic, "set", "retention.minutes", "1"), "a key that is not known")
	refused(40, client.AlterConfig(topic, "set", "retention.ms", "many"), "a value that is no number")
	refused(40, client.CreateTopic(unique("refused"), 1, 1, map[string]string{"segment.bytes": "1"}), "a value out of bounds")
	return nil
}
