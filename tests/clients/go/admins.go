package main

import "os"

// The admin client: topics, configurations, groups, what a cluster tells of itself.
var admins = []Promise{
	{name: "admin-topics", check: topics},
	{name: "admin-configs", check: configs},
	{name: "admin-delete-records", check: deleteRecords},
	{name: "admin-groups", check: groupAdmin},
	{name: "admin-group-offsets", check: groupOffsets},
	{name: "admin-cluster", check: cluster},
	{name: "admin-log-dirs", check: logDirs},
	{name: "admin-producers", check: producers},
	{name: "admin-elect-leaders", check: electLeaders},
	{name: "admin-reassignments", check: reassignments},
}

func topics(client Client) error {
	topic := made(client, "topics", 3)
	must(client.CreatePartitions(topic, 5), "create partitions")
	eventually("five partitions", func() bool { all, err := client.Topics(); return err == nil && all[topic] == 5 })
	sendNumbers(client, topic, 4, 0, 1)
	must(client.DeleteTopic(topic), "delete topic")
	eventually("the topic is gone", func() bool { all, err := client.Topics(); return err == nil && all[topic] == 0 })
	return nil
}

func configs(client Client) error {
	topic := made(client, "configs", 1, "retention.ms", "3600000")
	is := func(key, expected string) {
		eventually(key+" is "+expected, func() bool { // a broker may learn of it after the controller answered
			found, err := client.Configs(topic)
			must(err, "describe configs")
			return found[key] == expected
		})
	}
	is("retention.ms", "3600000")
	is("max.message.bytes", "1048588")
	must(client.AlterConfig(topic, "set", "segment.bytes", "2097152"), "set")
	is("segment.bytes", "2097152")
	must(client.AlterConfig(topic, "append", "cleanup.policy", "compact"), "append")
	is("cleanup.policy", "delete,compact")
	must(client.AlterConfig(topic, "subtract", "cleanup.policy", "compact"), "subtract")
	is("cleanup.policy", "delete")
	must(client.AlterConfig(topic, "delete", "retention.ms", ""), "delete")
	is("retention.ms", "604800000")
	return nil
}

func deleteRecords(client Client) error {
	topic := made(client, "delete-records", 1)
	sendNumbers(client, topic, 0, 0, 100)
	must(client.DeleteRecords(topic, 0, 30), "delete records")
	equal(numbers(30, 100), values(readAll(client, topic, 1)), "values left")
	refused(1, client.DeleteRecords(topic, 0, 101), "deleting behind the end")
	must(client.DeleteRecords(topic, 0, -1), "delete all records")
	offset, err := client.ListOffset(topic, 0, earliest)
	must(err, "list offset")
	equal(int64(100), offset, "beginning after deleting all")
	return nil
}

func groupAdmin(client Client) error {
	topic, group := made(client, "groups", 2), unique("groups")
	member := gather(client, MemberOptions{group: group, topic: topic, clientID: "sealed"}).member
	eventually("the member owns all", func() bool { return shared(2, member) })
	all, err := client.Groups()
	must(err, "list groups")
	isTrue(all[group], "the group is listed")
	eventually("stable", func() bool {
		state, clients, err := client.DescribeGroup(group)
		must(err, "describe group")
		return state == "Stable" && len(clients) == 1 && clients[0] == "sealed"
	})
	refused(68, client.DeleteGroup(group), "deleting a group that is not empty")
	must(member.Close(), "leave")
	eventually("empty", func() bool {
		state, clients, err := client.DescribeGroup(group)
		must(err, "describe group")
		return state == "Empty" && len(clients) == 0
	})
	must(client.DeleteGroup(group), "delete group")
	refused(69, client.DeleteGroup(group), "deleting a group that is gone")
	return nil
}

func groupOffsets(client Client) error {
	topic, group := made(client, "group-offsets", 2), unique("group-offsets")
	sendNumbers(client, topic, 0, 0, 10)
	must(client.AlterGroupOffsets(group, topic, map[int32]int64{0: 7, 1: 0}), "alter offsets")
	found, err := client.GroupOffsets(group, topic)
	must(err, "offsets")
	equal(map[int32]int64{0: 7, 1: 0}, found, "offsets")
	reading := gather(client, MemberOptions{group: group, topic: topic})
	eventually("three records", func() bool { return reading.count() == 3 })
	must(reading.member.Close(), "leave")
	equal(set(numbers(7, 10)), reading.values(), "values from the altered offset")
	return nil
}

func cluster(client Client) error {
	controller, addresses, err := client.Cluster()
	must(err, "cluster")
	equal(map[int32]string{controller: os.Getenv("BOOTSTRAP")}, addresses, "addresses")
	return nil
}

func logDirs(client Client) error {
	topic := made(client, "log-dirs", 1)
	sendNumbers(client, topic, 0, 0, 100)
	size, err := client.LogDirSize(topic)
	must(err, "log directories")
	isTrue(size > 500, "the replica has %d bytes", size)
	return nil
}

func producers(client Client) error {
	topic := made(client, "producers", 1)
	producer, err := client.Producer(ProducerOptions{idempotent: true})
	must(err, "producer")
	defer producer.Close()
	for _, value := range numbers(0, 5) {
		_, err := send(producer, Record{Topic: topic, Value: []byte(value)})
		must(err, "send")
	}
	active, err := client.ActiveProducers(topic)
	must(err, "describe producers")
	equal([]ActiveProducer{{Epoch: 0, LastSequence: 4}}, active, "producers")
	return nil
}

func electLeaders(client Client) error {
	refused(84, client.ElectLeaders(made(client, "elect", 1)), "electing the leader that leads")
	return nil
}

func reassignments(client Client) error {
	count, err := client.Reassignments(made(client, "reassign", 1))
	must(err, "list reassignments")
	equal(0, count, "reassignments")
	return nil
}
