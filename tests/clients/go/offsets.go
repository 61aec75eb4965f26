package main

import (
	"fmt"
	"strconv"
	"time"
)

// Where to read: by time, from either end, from anywhere between.
var offsets = []Promise{
	{name: "offsets-by-time", check: byTime},
	{name: "list-offsets", check: ends},
	{name: "max-timestamp", check: greatestTime},
	{name: "seek", check: seek},
	{name: "from-end", check: fromEnd},
	{name: "error-offset-out-of-range", check: outOfRange},
	{name: "fetch-sessions", check: sessions},
}

func byTime(client Client) error {
	topic := made(client, "by-time", 1, "retention.ms", "-1")
	producer, err := client.Producer(ProducerOptions{linger: 20 * time.Millisecond})
	must(err, "producer")
	defer producer.Close()
	failed := &failures{}
	for i := range 100 {
		record := Record{Topic: topic, Value: []byte(strconv.Itoa(i)), Time: base.Add(time.Duration(i) * time.Second)}
		producer.Send(record, func(_ Record, err error) { failed.add(err) })
		if i%10 == 9 {
			must(producer.Flush(), "flush")
		}
	}
	must(failed.first(), "send")
	for _, pair := range [][2]int64{{-1, 0}, {0, 0}, {1, 1}, {41_500, 42}, {50_000, 50}, {99_000, 99}} {
		offset, err := client.ListOffset(topic, 0, base.UnixMilli()+pair[0])
		must(err, "list offset")
		equal(pair[1], offset, fmt.Sprintf("first offset at or after %d", pair[0]))
	}
	return nil
}

func ends(client Client) error {
	topic := made(client, "ends", 2)
	sendNumbers(client, topic, 0, 0, 25)
	both := func() []int64 {
		found := []int64{}
		for _, at := range []int64{earliest, latest} {
			offset, err := client.ListOffset(topic, 0, at)
			must(err, "list offset")
			found = append(found, offset)
		}
		return found
	}
	equal([]int64{0, 25}, both(), "ends")
	must(client.DeleteRecords(topic, 0, 10), "delete records")
	equal([]int64{10, 25}, both(), "ends after deleting records")
	equal(numbers(10, 25), values(readAll(client, topic, 2)), "values left")
	return nil
}

func greatestTime(client Client) error {
	topic := made(client, "max-timestamp", 1, "retention.ms", "-1")
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	for i := range 10 {
		later := i
		if i == 6 {
			later = 1000
		}
		_, err := send(producer, Record{Topic: topic, Value: []byte("v"), Time: base.Add(time.Duration(later) * time.Millisecond)})
		must(err, "send")
	}
	offset, err := client.ListOffset(topic, 0, maxTimestamp)
	must(err, "list offset")
	equal(int64(6), offset, "offset of the greatest time stamp")
	return nil
}

func seek(client Client) error {
	topic := made(client, "seek", 1)
	sendNumbers(client, topic, 0, 0, 1000)
	for _, offset := range []int64{500, 7, 999, 0, 123} {
		reader, err := client.Reader(topic, map[int32]int64{0: offset}, false)
		must(err, "reader")
		record := take(reader, 1)[0]
		reader.Close()
		equal(fmt.Sprintf("%d@%d", offset, offset), fmt.Sprintf("%s@%d", record.Value, record.Offset), "record after a seek")
	}
	return nil
}

func fromEnd(client Client) error {
	topic := made(client, "from-end", 1)
	sendNumbers(client, topic, 0, 0, 50)
	reader, err := client.Reader(topic, fromAll(1, latest), false)
	must(err, "reader")
	defer reader.Close()
	got := []Record{}
	sent := 50 // neither client tells when it listens, so single records show it
	eventually("a record that was sent after", func() bool {
		sendNumbers(client, topic, 0, sent, sent+1)
		sent++
		some, err := reader.Poll(500 * time.Millisecond)
		must(err, "poll")
		got = append(got, some...)
		return len(got) > 0
	})
	isTrue(got[0].Offset >= 50, "offset %d is from before", got[0].Offset)
	return nil
}

func outOfRange(client Client) error {
	topic := made(client, "out-of-range", 1)
	sendNumbers(client, topic, 0, 0, 5)
	reader, err := client.Reader(topic, map[int32]int64{0: 6}, false)
	deadline := time.Now().Add(patience)
	for err == nil && time.Now().Before(deadline) {
		_, err = reader.Poll(200 * time.Millisecond)
	}
	refused(1, err, "reading behind the end")
	if reader != nil {
		reader.Close()
	}
	return nil
}

// Many partitions, few with news: a session that forgets or repeats a partition would show here.
func sessions(client Client) error {
	const count = 40
	topic := made(client, "sessions", count)
	reader, err := client.Reader(topic, fromAll(count, earliest), false)
	must(err, "reader")
	defer reader.Close()
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	for round := range 30 {
		value := fmt.Sprintf("round %d", round)
		_, err := send(producer, Record{Topic: topic, Partition: int32(round * 7 % count), Value: []byte(value)})
		must(err, "send")
		equal([]string{value}, values(take(reader, 1)), "the record of this round, once")
	}
	return nil
}
