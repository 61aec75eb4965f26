package main

import (
	"fmt"
	"strconv"
	"sync"
	"time"
)

// What was acknowledged outlives the broker's process.
var durability = []Promise{
	{name: "idempotent-restart", check: everyAckOnceInOrder("stop")},
	{name: "idempotent-kill9", check: everyAckOnceInOrder("kill9")},
	{name: "committed-offsets-restart", check: committedOffsets},
}

const (
	ackPartitions = 3
	window        = 1000 // records on their way at most
)

// A producer under load while the broker goes and comes back: each acknowledged record is there once, in order, where the ack said.
func everyAckOnceInOrder(end string) func(Client) error {
	return func(client Client) error {
		topic := made(client, "idempotent", ackPartitions)
		producer, err := client.Producer(ProducerOptions{idempotent: true, linger: time.Millisecond})
		must(err, "producer")
		var lock sync.Mutex
		acked, failed, enough := map[int]string{}, &failures{}, make(chan struct{})
		count := func() int {
			lock.Lock()
			defer lock.Unlock()
			return len(acked)
		}
		go func() {
			defer close(enough)
			defer func() {
				if caught := recover(); caught != nil {
					failed.add(fmt.Errorf("%v", caught))
				}
			}()
			eventually("acks before the end", func() bool { return count() > 2000 })
			must(control(end), end)
			before := count()
			must(control("start"), "start")
			eventually("acks after the start", func() bool { return count() > before+2000 })
		}()
		sent, slots := 0, make(chan struct{}, window)
	load:
		for {
			select {
			case <-enough:
				break load
			case slots <- struct{}{}:
				number := sent
				sent++
				record := Record{Topic: topic, Partition: int32(number % ackPartitions), Value: []byte(strconv.Itoa(number))}
				producer.Send(record, func(at Record, err error) {
					failed.add(err)
					lock.Lock()
					acked[number] = fmt.Sprintf("%d/%d", at.Partition, at.Offset)
					lock.Unlock()
					<-slots
				})
			}
		}
		must(producer.Flush(), "flush")
		producer.Close()
		must(failed.first(), "send")
		equal(sent, count(), "acknowledged")
		got := map[int32][]string{}
		all := readAll(client, topic, ackPartitions)
		for _, record := range all {
			got[record.Partition] = append(got[record.Partition], string(record.Value))
		}
		for partition := range ackPartitions {
			expected := []string{}
			for i := partition; i < sent; i += ackPartitions {
				expected = append(expected, strconv.Itoa(i))
			}
			there := got[int32(partition)]
			for i, value := range expected {
				isTrue(i < len(there) && there[i] == value, "partition %d holds each record once, in order: %d sent, %d there, not %s at %d",
					partition, len(expected), len(there), value, i)
			}
			equal(len(expected), len(there), fmt.Sprintf("records in partition %d", partition))
		}
		for _, record := range all {
			number, _ := strconv.Atoi(string(record.Value))
			equal(fmt.Sprintf("%d/%d", record.Partition, record.Offset), acked[number], fmt.Sprintf("place of record %d", number))
		}
		return nil
	}
}

func committedOffsets(client Client) error {
	topic, group := made(client, "committed", 1), unique("committed")
	sendNumbers(client, topic, 0, 0, 50)
	first := gather(client, MemberOptions{group: group, topic: topic})
	eventually("the first half is read", func() bool { return first.count() == 50 })
	must(first.member.Close(), "close")
	must(control("restart"), "restart")
	var found map[int32]int64
	eventually("the coordinator answers", func() bool {
		var err error
		found, err = client.GroupOffsets(group, topic)
		if err == nil {
			return true
		}
		// A connection that ended with the broker, or COORDINATOR_LOAD_IN_PROGRESS, _NOT_AVAILABLE, NOT_COORDINATOR.
		isTrue(code(err) == -1 || code(err) >= 14 && code(err) <= 16, "offsets: %v", err)
		return false
	})
	equal(map[int32]int64{0: 50}, found, "committed offsets")
	sendNumbers(client, topic, 0, 50, 100)
	second := gather(client, MemberOptions{group: group, topic: topic})
	eventually("the second half is read", func() bool { return second.count() == 50 })
	must(second.member.Close(), "close")
	equal(set(numbers(50, 100)), second.values(), "values of the second half")
	return nil
}

// gathering is a member of a group and the values it was handed.
type gathering struct {
	member Member
	seen   *seen
}

func (g *gathering) count() int              { return g.seen.count() }
func (g *gathering) values() map[string]bool { return g.seen.values() }

func gather(client Client, options MemberOptions) *gathering {
	seen := &seen{all: map[string]bool{}}
	member, err := client.Member(options, seen.add)
	must(err, "member")
	return &gathering{member, seen}
}

// seen is what the members of a group were handed, together.
type seen struct {
	lock sync.Mutex
	all  map[string]bool
}

func (s *seen) add(records []Record) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for _, record := range records {
		s.all[string(record.Value)] = true
	}
}

func (s *seen) count() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.all)
}

func (s *seen) values() map[string]bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.all
}

func set(values []string) map[string]bool {
	set := map[string]bool{}
	for _, value := range values {
		set[value] = true
	}
	return set
}
