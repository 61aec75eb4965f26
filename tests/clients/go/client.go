package main

import (
	"errors"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Where to read from, when it is not an offset; Kafka's own numbers.
const (
	latest       = -1
	earliest     = -2
	maxTimestamp = -3
)

// Header is one of a record's; a nil value is null.
type Header struct {
	Key   string
	Value []byte
}

// Record is one to send, or one that came back.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time
	Appended  bool // the broker's clock, not the producer's
	Key       []byte
	Value     []byte
	Headers   []Header
}

// ProducerOptions ask for acks "0", "1" or "all", and for a codec by Kafka's name; the zero value asks for all and none.
type ProducerOptions struct {
	acks          string
	codec         string
	idempotent    bool
	transactional string
	linger        time.Duration
}

// MemberOptions say how to join a group.
type MemberOptions struct {
	group, topic, instance, clientID, balancer string
}

// Client is what the promises ask of a client, in words that both have.
type Client interface {
	Name() string
	Lacks(promise string) string // why it cannot keep that promise, or nothing
	Close()

	CreateTopic(name string, partitions int32, replicas int16, configs map[string]string) error
	DeleteTopic(name string) error
	CreatePartitions(name string, total int32) error
	Topics() (map[string]int, error) // partitions by name
	Configs(topic string) (map[string]string, error)
	AlterConfig(topic, op, key, value string) error
	DeleteRecords(topic string, partition int32, before int64) error
	ListOffset(topic string, partition int32, at int64) (int64, error)
	Groups() (map[string]bool, error)
	DescribeGroup(group string) (state string, clients []string, err error)
	DeleteGroup(group string) error
	GroupOffsets(group, topic string) (map[int32]int64, error)
	AlterGroupOffsets(group, topic string, offsets map[int32]int64) error
	Cluster() (controller int32, addresses map[int32]string, err error)
	ElectLeaders(topic string) error
	LogDirSize(topic string) (int64, error)
	Reassignments(topic string) (int, error)
	ActiveProducers(topic string) ([]ActiveProducer, error)

	Producer(ProducerOptions) (Producer, error)
	Reader(topic string, from map[int32]int64, committed bool) (Reader, error)
	Member(MemberOptions, func([]Record)) (Member, error)
}

// ActiveProducer is one that a partition remembers.
type ActiveProducer struct {
	Epoch        int16
	LastSequence int32
}

// Producer sends; `done` is called once for each record, from whatever goroutine.
type Producer interface {
	Send(record Record, done func(Record, error))
	Flush() error
	Begin() error
	Commit() error
	Abort() error
	Close()
}

// Reader reads partitions that it was given, outside of any group.
type Reader interface {
	Poll(wait time.Duration) ([]Record, error)
	Close()
}

// Member reads what its group gives it, hands it over and commits it.
type Member interface {
	Owned() map[int32]bool
	Changes() int // how often what it owns changed
	Err() error
	Close() error
}

// code is Kafka's error code in an error of either client; -1 when there is none.
func code(err error) int16 {
	var franz *kerr.Error
	if errors.As(err, &franz) {
		return franz.Code
	}
	var plain sarama.KError
	if errors.As(err, &plain) {
		return int16(plain)
	}
	return -1
}

// made creates a topic and waits until it is listed.
func made(client Client, stem string, partitions int32, configs ...string) string {
	topic := unique(stem)
	given := map[string]string{}
	for i := 0; i < len(configs); i += 2 {
		given[configs[i]] = configs[i+1]
	}
	must(client.CreateTopic(topic, partitions, 1, given), "create topic "+topic)
	eventually("the topic is listed", func() bool {
		topics, err := client.Topics()
		return err == nil && topics[topic] == int(partitions)
	})
	return topic
}

// send sends one record and waits for its ack.
func send(producer Producer, record Record) (Record, error) {
	type answer struct {
		record Record
		err    error
	}
	answers := make(chan answer, 1)
	producer.Send(record, func(record Record, err error) { answers <- answer{record, err} })
	select {
	case got := <-answers:
		return got.record, got.err
	case <-time.After(patience):
		return record, errors.New("no ack came")
	}
}
