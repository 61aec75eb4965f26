package main

import "time"

// All of a transaction is read, or nothing of it.
var transactions = []Promise{
	{name: "transaction-commit", needs: "transactions", check: commit},
	{name: "transaction-abort", needs: "transactions", check: abort},
	{name: "transaction-fencing", needs: "transactions", check: fencing},
}

// committed gives the values that a reader of committed records gets while it has time.
func committed(client Client, topic string) []string {
	reader, err := client.Reader(topic, fromAll(1, earliest), true)
	must(err, "reader")
	defer reader.Close()
	got := []Record{}
	for deadline := time.Now().Add(time.Second); time.Now().Before(deadline); {
		some, err := reader.Poll(100 * time.Millisecond)
		must(err, "poll")
		got = append(got, some...)
	}
	return values(got)
}

func transactional(client Client, id string) Producer {
	producer, err := client.Producer(ProducerOptions{transactional: id})
	must(err, "producer")
	return producer
}

func sendIn(producer Producer, topic, value string) {
	_, err := send(producer, Record{Topic: topic, Value: []byte(value)})
	must(err, "send")
}

func commit(client Client) error {
	topic := made(client, "commit", 1)
	producer := transactional(client, unique("commit"))
	defer producer.Close()
	must(producer.Begin(), "begin")
	sendIn(producer, topic, "a")
	sendIn(producer, topic, "b")
	equal([]string{}, committed(client, topic), "values before the commit")
	must(producer.Commit(), "commit")
	equal([]string{"a", "b"}, committed(client, topic), "values after the commit")
	return nil
}

func abort(client Client) error {
	topic := made(client, "abort", 1)
	producer := transactional(client, unique("abort"))
	defer producer.Close()
	for _, number := range numbers(0, 3) {
		must(producer.Begin(), "begin")
		sendIn(producer, topic, "kept "+number)
		must(producer.Commit(), "commit")
		must(producer.Begin(), "begin")
		sendIn(producer, topic, "dropped "+number)
		must(producer.Abort(), "abort")
	}
	equal([]string{"kept 0", "kept 1", "kept 2"}, committed(client, topic), "values")
	return nil
}

func fencing(client Client) error {
	topic, id := made(client, "fencing", 1), unique("fencing")
	old := transactional(client, id)
	must(old.Begin(), "begin")
	sendIn(old, topic, "of the old")
	fresh := transactional(client, id)
	defer fresh.Close()
	must(fresh.Begin(), "begin")
	sendIn(fresh, topic, "of the new")
	must(fresh.Commit(), "commit")
	_, err := send(old, Record{Topic: topic, Value: []byte("too late")})
	if err == nil {
		err = old.Commit()
	}
	isTrue(err != nil, "the old producer was not fenced")
	equal([]string{"of the new"}, committed(client, topic), "values")
	go old.Close() // a fenced producer may not close in peace
	return nil
}
