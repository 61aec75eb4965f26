package main

import (
	"strconv"
	"sync/atomic"
	"time"
)

// Members of a group share its partitions, and nothing is lost while they come and go.
var groups = []Promise{
	{name: "group-rebalance", check: rebalance("range")},
	{name: "group-cooperative", check: rebalance("cooperative")},
	{name: "group-848-rebalance", needs: "consumer-groups-848", check: rebalance("server")},
	{name: "static-member", check: staticMember},
}

const groupPartitions = 6

// shared says whether every partition belongs to exactly one of the members, and each has its even part.
func shared(partitions int, members ...Member) bool {
	all := map[int32]bool{}
	for _, member := range members {
		must(member.Err(), "member")
		owned := member.Owned()
		if len(owned) != partitions/len(members) {
			return false
		}
		for partition := range owned {
			all[partition] = true
		}
	}
	return len(all) == partitions
}

func rebalance(balancer string) func(Client) error {
	return func(client Client) error {
		topic, group := made(client, "group", groupPartitions), unique("group")
		handed := &seen{all: map[string]bool{}}
		var sent atomic.Int64
		var enough atomic.Bool
		loaded := make(chan error, 1)
		go func() {
			producer, err := client.Producer(ProducerOptions{linger: time.Millisecond})
			if err != nil {
				loaded <- err
				return
			}
			defer producer.Close()
			failed := &failures{}
			for !enough.Load() && failed.first() == nil {
				for range 100 {
					number := int(sent.Add(1)) - 1
					record := Record{Topic: topic, Partition: int32(number % groupPartitions), Value: []byte(strconv.Itoa(number))}
					producer.Send(record, func(_ Record, err error) { failed.add(err) })
				}
				failed.add(producer.Flush())
				for !enough.Load() && int(sent.Load())-handed.count() > 3000 {
					time.Sleep(time.Millisecond)
				}
			}
			loaded <- failed.first()
		}()
		defer enough.Store(true)
		join := func() Member {
			member, err := client.Member(MemberOptions{group: group, topic: topic, balancer: balancer}, handed.add)
			must(err, "join")
			return member
		}
		first := join()
		eventually("one member owns all", func() bool { return shared(groupPartitions, first) })
		second := join()
		eventually("two members share", func() bool { return shared(groupPartitions, first, second) })
		third := join()
		eventually("three members share", func() bool { return shared(groupPartitions, first, second, third) })
		must(first.Close(), "leave")
		eventually("the two that stay share", func() bool { return shared(groupPartitions, second, third) })
		must(second.Close(), "leave")
		eventually("the last owns all", func() bool { return shared(groupPartitions, third) })
		enough.Store(true)
		must(<-loaded, "load")
		eventually("every record was seen", func() bool { return handed.count() >= int(sent.Load()) })
		must(third.Close(), "leave")
		equal(set(numbers(0, int(sent.Load()))), handed.values(), "records seen")
		return nil
	}
}

func staticMember(client Client) error {
	topic, group := made(client, "static", 4), unique("static")
	handed := &seen{all: map[string]bool{}}
	join := func(instance string) Member {
		member, err := client.Member(MemberOptions{group: group, topic: topic, instance: instance}, handed.add)
		must(err, "join")
		return member
	}
	one := join("one")
	eventually("one member owns all", func() bool { return shared(4, one) })
	two := join("two")
	eventually("both share", func() bool { return shared(4, one, two) })
	before, changes := two.Owned(), one.Changes()
	must(two.Close(), "close")
	again := join("two")
	eventually("the member that came back owns its part", func() bool { return len(again.Owned()) == 2 })
	equal(before, again.Owned(), "what the member has that came back")
	for partition := range 4 {
		sendNumbers(client, topic, int32(partition), partition, partition+1)
	}
	eventually("both read on", func() bool { return handed.count() == 4 })
	equal(changes, one.Changes(), "changes the other member saw")
	must(one.Close(), "close")
	must(again.Close(), "close")
	return nil
}
