package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"time"
)

// A text file, a line a record, comes out as it went in.
var text = []Promise{{name: "text", check: carryText}}

const textPartitions = 6

func carryText(client Client) error {
	topic := made(client, "text", textPartitions)
	producer, err := client.Producer(ProducerOptions{codec: "snappy", idempotent: true, linger: 5 * time.Millisecond})
	must(err, "producer")
	failed, count := &failures{}, 0
	eachLine(client, func(line []byte) {
		record := Record{Topic: topic, Partition: int32(count % textPartitions), Value: bytes.Clone(line)}
		producer.Send(record, func(_ Record, err error) { failed.add(err) })
		count++
	})
	must(producer.Flush(), "flush")
	producer.Close()
	must(failed.first(), "send")
	reader, err := client.Reader(topic, fromAll(textPartitions, earliest), false)
	must(err, "reader")
	defer reader.Close()
	came := make([][][]byte, textPartitions)
	deadline := time.Now().Add(3 * patience)
	for got := 0; got < count; {
		isTrue(time.Now().Before(deadline), "only %d of %d lines came", got, count)
		some, err := reader.Poll(200 * time.Millisecond)
		must(err, "poll")
		for _, record := range some {
			came[record.Partition] = append(came[record.Partition], record.Value)
		}
		got += len(some)
	}
	number := 0
	eachLine(client, func(line []byte) {
		partition, at := number%textPartitions, number/textPartitions
		isTrue(at < len(came[partition]) && bytes.Equal(line, came[partition][at]), "line %d is not what was sent", number)
		number++
	})
	for partition, lines := range came {
		equal((count+textPartitions-1-partition)/textPartitions, len(lines), fmt.Sprintf("lines in partition %d", partition))
	}
	return nil
}

// eachLine goes through the file; sarama, which frames every record alone, gets its first tenth.
func eachLine(client Client, handle func([]byte)) {
	file, err := os.Open(os.Getenv("TEXT"))
	must(err, "text")
	defer file.Close()
	about, err := file.Stat()
	must(err, "text")
	left := about.Size()
	if client.Name() == "sarama" {
		left /= 10
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	for lines.Scan() && left > 0 {
		handle(lines.Bytes())
		left -= int64(len(lines.Bytes())) + 1
	}
	must(lines.Err(), "text")
}
