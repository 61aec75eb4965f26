package main

import (
	"strconv"
	"sync"
	"time"
)

// take polls until `count` records came, at least.
func take(reader Reader, count int) []Record {
	records := []Record{}
	deadline := time.Now().Add(patience)
	for len(records) < count {
		isTrue(time.Now().Before(deadline), "only %d of %d records came", len(records), count)
		some, err := reader.Poll(200 * time.Millisecond)
		must(err, "poll")
		records = append(records, some...)
	}
	return records
}

func fromAll(partitions int32, at int64) map[int32]int64 {
	from := map[int32]int64{}
	for partition := range partitions {
		from[partition] = at
	}
	return from
}

// readAll gives the records of a topic from its beginning to where its ends are now; order is kept within a partition.
func readAll(client Client, topic string, partitions int32) []Record {
	total := int64(0)
	for partition := range partitions {
		end, err := client.ListOffset(topic, partition, latest)
		must(err, "end of the partition")
		begin, err := client.ListOffset(topic, partition, earliest)
		must(err, "beginning of the partition")
		total += end - begin
	}
	reader, err := client.Reader(topic, fromAll(partitions, earliest), false)
	must(err, "reader")
	defer reader.Close()
	return take(reader, int(total))
}

func values(records []Record) []string {
	values := []string{}
	for _, record := range records {
		values = append(values, string(record.Value))
	}
	return values
}

func numbers(from, to int) []string {
	numbers := []string{}
	for i := from; i < to; i++ {
		numbers = append(numbers, strconv.Itoa(i))
	}
	return numbers
}

// sendNumbers sends "from" … to one partition, and waits for the acks.
func sendNumbers(client Client, topic string, partition int32, from, to int) {
	producer, err := client.Producer(ProducerOptions{})
	must(err, "producer")
	defer producer.Close()
	failures := &failures{}
	for _, value := range numbers(from, to) {
		producer.Send(Record{Topic: topic, Partition: partition, Value: []byte(value)}, func(_ Record, err error) { failures.add(err) })
	}
	must(producer.Flush(), "flush")
	must(failures.first(), "send")
}

// failures keeps the first error of many goroutines.
type failures struct {
	lock sync.Mutex
	err  error
}

func (f *failures) add(err error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failures) first() error {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.err
}
