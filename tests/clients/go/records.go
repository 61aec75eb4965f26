package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"time"
)

// What goes in comes out: codecs, shapes of records, time stamps, acks.
var records = []Promise{
	{name: "roundtrip-none", check: roundtrip("none")},
	{name: "roundtrip-gzip", check: roundtrip("gzip")},
	{name: "roundtrip-snappy", check: roundtrip("snappy")},
	{name: "roundtrip-lz4", check: roundtrip("lz4")},
	{name: "roundtrip-zstd", check: roundtrip("zstd")},
	{name: "record-shapes", check: shapes},
	{name: "timestamps", check: timestamps},
	{name: "acks-0", check: acks("0")},
	{name: "acks-1", check: acks("1")},
	{name: "acks-all", check: acks("all")},
	{name: "auto-create", check: autoCreate},
}

var base = time.UnixMilli(1_600_000_000_000)

func roundtrip(codec string) func(Client) error {
	return func(client Client) error {
		topic := made(client, "roundtrip-"+codec, 3)
		producer, err := client.Producer(ProducerOptions{codec: codec, linger: 5 * time.Millisecond})
		must(err, "producer")
		defer producer.Close()
		var lock sync.Mutex
		sent, failed := map[string]string{}, &failures{}
		for i := range 3000 {
			key, value := fmt.Sprintf("key %d", i), fmt.Sprintf("value %d %s", i, strings.Repeat("of the gorge ", i%30))
			producer.Send(Record{Topic: topic, Partition: int32(i % 3), Key: []byte(key), Value: []byte(value)}, func(at Record, err error) {
				failed.add(err)
				lock.Lock()
				defer lock.Unlock()
				sent[fmt.Sprintf("%d/%d", at.Partition, at.Offset)] = key + "=" + value
			})
		}
		must(producer.Flush(), "flush")
		must(failed.first(), "send")
		got := map[string]string{}
		for _, record := range readAll(client, topic, 3) {
			got[fmt.Sprintf("%d/%d", record.Partition, record.Offset)] = string(record.Key) + "=" + string(record.Value)
		}
		equal(3000, len(got), "records")
		equal(sent, got, "records by place")
		return nil
	}
}

func shapes(client Client) error {
	topic := made(client, "shapes", 1)
	large := make([]byte, 1_000_000)
	rand.New(rand.NewSource(7)).Read(large)
	sent := []Record{
		{Value: []byte("no key")},
		{Key: []byte("no value")},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("Schlüssel 水"), Value: large},
		{Key: []byte("headers"), Value: []byte("four"), Headers: []Header{
			{"twice", []byte("a")}, {"twice", []byte("b")}, {"", []byte{}}, {"null", nil},
		}},
	}
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	for _, record := range sent {
		record.Topic = topic
		_, err := send(producer, record)
		must(err, "send")
	}
	got := readAll(client, topic, 1)
	equal(len(sent), len(got), "records")
	for i, record := range sent {
		same := bytes.Equal(record.Value, got[i].Value) && (record.Value == nil) == (got[i].Value == nil)
		isTrue(same, "value %d: expected %s, got %s", i, brief(record.Value), brief(got[i].Value))
		equal(record.Key, got[i].Key, fmt.Sprintf("key %d", i))
		equal(record.Headers, got[i].Headers, fmt.Sprintf("headers %d", i))
	}
	return nil
}

func timestamps(client Client) error {
	given := made(client, "create-time", 1, "retention.ms", "-1")
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	for i := range 10 {
		_, err := send(producer, Record{Topic: given, Value: []byte("v"), Time: base.Add(time.Duration(i*7) * time.Millisecond)})
		must(err, "send")
	}
	for i, record := range readAll(client, given, 1) {
		equal(base.UnixMilli()+int64(i*7), record.Time.UnixMilli(), "time stamp given")
		equal(false, record.Appended, "time stamp is the append's")
	}
	taken := made(client, "append-time", 1, "message.timestamp.type", "LogAppendTime")
	before := time.Now().UnixMilli()
	_, err = send(producer, Record{Topic: taken, Value: []byte("v"), Time: base})
	must(err, "send")
	record := readAll(client, taken, 1)[0]
	if client.Name() != "sarama" { // which does not tell whose time stamp it is
		equal(true, record.Appended, "time stamp is the append's")
	}
	at := record.Time.UnixMilli()
	isTrue(before <= at && at <= time.Now().UnixMilli(), "%d is the time of the append", at)
	return nil
}

func acks(level string) func(Client) error {
	return func(client Client) error {
		topic := made(client, "acks-"+level, 1)
		producer, err := client.Producer(ProducerOptions{acks: level})
		must(err, "producer")
		defer producer.Close()
		var lock sync.Mutex
		offsets, failed := map[int64]int{}, &failures{}
		for _, value := range numbers(0, 500) {
			producer.Send(Record{Topic: topic, Value: []byte(value)}, func(at Record, err error) {
				failed.add(err)
				lock.Lock()
				defer lock.Unlock()
				offsets[at.Offset]++
			})
		}
		must(producer.Flush(), "flush")
		must(failed.first(), "send")
		if level != "0" {
			equal(500, len(offsets), "offsets answered")
			equal(1, offsets[499], "the last offset")
		}
		reader, err := client.Reader(topic, fromAll(1, earliest), false)
		must(err, "reader")
		defer reader.Close()
		equal(numbers(0, 500), values(take(reader, 500)), "values")
		return nil
	}
}

func autoCreate(client Client) error {
	topic := unique("made-by-use")
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	at, err := send(producer, Record{Topic: topic, Value: []byte("first")})
	must(err, "send")
	equal(int64(0), at.Offset, "offset")
	equal([]string{"first"}, values(readAll(client, topic, 1)), "values")
	return nil
}
