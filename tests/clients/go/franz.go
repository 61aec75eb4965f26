package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go.
type franz struct {
	bootstrap string
	admin     *kadm.Client
}

func newFranz(bootstrap string) Client {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.MetadataMinAge(10*time.Millisecond))
	must(err, "client")
	return &franz{bootstrap, kadm.NewClient(client)}
}

func (f *franz) Name() string        { return "franz-go" }
func (f *franz) Lacks(string) string { return "" }
func (f *franz) Close()              { f.admin.Close() }

// soon is a context that ends, with what its call must have come to an end by.
func soon() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	context.AfterFunc(ctx, cancel)
	return ctx
}

// worded puts the broker's words to its code.
func worded(err error, words string) error {
	if err == nil || words == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, words)
}

func (f *franz) CreateTopic(name string, partitions int32, replicas int16, configs map[string]string) error {
	given := map[string]*string{}
	for key, value := range configs {
		given[key] = &value
	}
	answer, err := f.admin.CreateTopic(soon(), partitions, replicas, given, name)
	return errors.Join(err, worded(answer.Err, answer.ErrMessage))
}

func (f *franz) DeleteTopic(name string) error {
	answer, err := f.admin.DeleteTopic(soon(), name)
	return errors.Join(err, answer.Err)
}

func (f *franz) CreatePartitions(name string, total int32) error {
	answers, err := f.admin.UpdatePartitions(soon(), int(total), name)
	return errors.Join(err, worded(answers[name].Err, answers[name].ErrMessage))
}

func (f *franz) Topics() (map[string]int, error) {
	found, err := f.admin.ListTopics(soon())
	topics := map[string]int{}
	for name, topic := range found {
		topics[name] = len(topic.Partitions)
	}
	return topics, err
}

func (f *franz) Configs(topic string) (map[string]string, error) {
	answers, err := f.admin.DescribeTopicConfigs(soon(), topic)
	if err != nil {
		return nil, err
	}
	configs := map[string]string{}
	for _, config := range answers[0].Configs {
		configs[config.Key] = config.MaybeValue()
	}
	return configs, answers[0].Err
}

func (f *franz) AlterConfig(topic, op, key, value string) error {
	ops := map[string]kadm.IncrementalOp{
		"set": kadm.SetConfig, "delete": kadm.DeleteConfig, "append": kadm.AppendConfig, "subtract": kadm.SubtractConfig,
	}
	answers, err := f.admin.AlterTopicConfigs(soon(), []kadm.AlterConfig{{Op: ops[op], Name: key, Value: &value}}, topic)
	if err != nil {
		return err
	}
	return worded(answers[0].Err, answers[0].ErrMessage)
}

func (f *franz) DeleteRecords(topic string, partition int32, before int64) error {
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	answers, err := f.admin.DeleteRecords(soon(), offsets)
	if err != nil {
		return err
	}
	answer := answers[topic][partition]
	if answer.Err == nil && before >= 0 && answer.LowWatermark != before {
		return fmt.Errorf("the low watermark is %d", answer.LowWatermark)
	}
	return answer.Err
}

func (f *franz) ListOffset(topic string, partition int32, at int64) (int64, error) {
	var found kadm.ListedOffsets
	var err error
	switch at {
	case latest:
		found, err = f.admin.ListEndOffsets(soon(), topic)
	case earliest:
		found, err = f.admin.ListStartOffsets(soon(), topic)
	case maxTimestamp:
		found, err = f.admin.ListMaxTimestampOffsets(soon(), topic)
	default:
		found, err = f.admin.ListOffsetsAfterMilli(soon(), at, topic)
	}
	offset, _ := found.Lookup(topic, partition)
	return offset.Offset, errors.Join(err, offset.Err)
}

func (f *franz) Groups() (map[string]bool, error) {
	found, err := f.admin.ListGroups(soon())
	groups := map[string]bool{}
	for name := range found {
		groups[name] = true
	}
	return groups, err
}

func (f *franz) DescribeGroup(group string) (string, []string, error) {
	found, err := f.admin.DescribeGroups(soon(), group)
	clients := []string{}
	for _, member := range found[group].Members {
		clients = append(clients, member.ClientID)
	}
	return found[group].State, clients, errors.Join(err, found[group].Err)
}

func (f *franz) DeleteGroup(group string) error {
	answer, err := f.admin.DeleteGroup(soon(), group)
	return errors.Join(err, answer.Err)
}

func (f *franz) GroupOffsets(group, topic string) (map[int32]int64, error) {
	found, err := f.admin.FetchOffsets(soon(), group)
	offsets := map[int32]int64{}
	for partition, offset := range found[topic] {
		offsets[partition] = offset.At
		err = errors.Join(err, offset.Err)
	}
	return offsets, err
}

func (f *franz) AlterGroupOffsets(group, topic string, at map[int32]int64) error {
	offsets := kadm.Offsets{}
	for partition, offset := range at {
		offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: offset, LeaderEpoch: -1})
	}
	return f.admin.CommitAllOffsets(soon(), group, offsets)
}

func (f *franz) Cluster() (int32, map[int32]string, error) {
	found, err := f.admin.BrokerMetadata(soon())
	addresses := map[int32]string{}
	for _, broker := range found.Brokers {
		addresses[broker.NodeID] = fmt.Sprintf("%s:%d", broker.Host, broker.Port)
	}
	return found.Controller, addresses, err
}

func topicSet(topic string) kadm.TopicsSet {
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	return set
}

func (f *franz) ElectLeaders(topic string) error {
	answers, err := f.admin.ElectLeaders(soon(), kadm.ElectPreferredReplica, topicSet(topic))
	return errors.Join(err, answers[topic][0].Err)
}

func (f *franz) LogDirSize(topic string) (int64, error) {
	found, err := f.admin.DescribeAllLogDirs(soon(), topicSet(topic))
	size := int64(-1)
	found.Each(func(dir kadm.DescribedLogDir) {
		err = errors.Join(err, dir.Err)
		dir.Topics.Each(func(partition kadm.DescribedLogDirPartition) { size = partition.Size })
	})
	return size, err
}

func (f *franz) Reassignments(topic string) (int, error) {
	found, err := f.admin.ListPartitionReassignments(soon(), topicSet(topic))
	return len(found), err
}

func (f *franz) ActiveProducers(topic string) ([]ActiveProducer, error) {
	found, err := f.admin.DescribeProducers(soon(), topicSet(topic))
	active := []ActiveProducer{}
	found.EachProducer(func(producer kadm.DescribedProducer) {
		active = append(active, ActiveProducer{producer.ProducerEpoch, producer.LastSequence})
	})
	return active, err
}

type franzProducer struct{ client *kgo.Client }

func (f *franz) Producer(options ProducerOptions) (Producer, error) {
	codecs := map[string]kgo.CompressionCodec{
		"": kgo.NoCompression(), "none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	acks := map[string]kgo.Acks{"": kgo.AllISRAcks(), "all": kgo.AllISRAcks(), "1": kgo.LeaderAck(), "0": kgo.NoAck()}
	given := []kgo.Opt{
		kgo.SeedBrokers(f.bootstrap),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[options.codec]),
		kgo.RequiredAcks(acks[options.acks]),
		kgo.ProducerLinger(options.linger),
		kgo.ProducerBatchMaxBytes(1_048_588),
		kgo.AllowAutoTopicCreation(),
	}
	if options.acks == "0" || options.acks == "1" {
		given = append(given, kgo.DisableIdempotentWrite())
	}
	if options.transactional != "" {
		given = append(given, kgo.TransactionalID(options.transactional), kgo.TransactionTimeout(time.Minute))
	}
	client, err := kgo.NewClient(given...)
	if err == nil && options.transactional != "" {
		_, _, err = client.ProducerID(soon()) // so that a second producer fences the first here, not at its first record
	}
	return &franzProducer{client}, err
}

func (p *franzProducer) Send(record Record, done func(Record, error)) {
	headers := []kgo.RecordHeader{}
	for _, header := range record.Headers {
		headers = append(headers, kgo.RecordHeader(header))
	}
	sent := &kgo.Record{
		Topic: record.Topic, Partition: record.Partition, Key: record.Key, Value: record.Value, Timestamp: record.Time, Headers: headers,
	}
	p.client.Produce(context.Background(), sent, func(at *kgo.Record, err error) { done(fromFranz(at), err) })
}

func (p *franzProducer) Flush() error  { return p.client.Flush(soon()) }
func (p *franzProducer) Begin() error  { return p.client.BeginTransaction() }
func (p *franzProducer) Commit() error { return p.client.EndTransaction(soon(), kgo.TryCommit) }
func (p *franzProducer) Abort() error  { return p.client.EndTransaction(soon(), kgo.TryAbort) }
func (p *franzProducer) Close()        { p.client.Close() }

func fromFranz(record *kgo.Record) Record {
	var headers []Header
	for _, header := range record.Headers {
		headers = append(headers, Header(header))
	}
	return Record{
		Topic: record.Topic, Partition: record.Partition, Offset: record.Offset, Key: record.Key, Value: record.Value,
		Time: record.Timestamp, Appended: record.Attrs.TimestampType() == 1, Headers: headers,
	}
}

type franzReader struct{ client *kgo.Client }

func (f *franz) Reader(topic string, from map[int32]int64, committed bool) (Reader, error) {
	offsets := map[int32]kgo.Offset{}
	for partition, at := range from {
		switch at {
		case earliest:
			offsets[partition] = kgo.NewOffset().AtStart()
		case latest:
			offsets[partition] = kgo.NewOffset().AtEnd()
		default:
			offsets[partition] = kgo.NewOffset().At(at)
		}
	}
	given := []kgo.Opt{
		kgo.SeedBrokers(f.bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(500 * time.Millisecond),
	}
	if committed {
		given = append(given, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	client, err := kgo.NewClient(given...)
	return &franzReader{client}, err
}

func (r *franzReader) Poll(wait time.Duration) ([]Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return fetched(r.client.PollFetches(ctx))
}

func (r *franzReader) Close() { r.client.Close() }

func fetched(fetches kgo.Fetches) ([]Record, error) {
	var err error
	fetches.EachError(func(_ string, _ int32, one error) {
		if !errors.Is(one, context.DeadlineExceeded) && !errors.Is(one, context.Canceled) {
			err = errors.Join(err, one)
		}
	})
	records := []Record{}
	fetches.EachRecord(func(record *kgo.Record) { records = append(records, fromFranz(record)) })
	return records, err
}

type franzMember struct {
	client  *kgo.Client
	leave   context.CancelFunc
	left    chan struct{}
	static  bool
	lock    sync.Mutex
	owned   map[int32]bool
	changes int
	failed  failures
}

func (f *franz) Member(options MemberOptions, handle func([]Record)) (Member, error) {
	member := &franzMember{owned: map[int32]bool{}, left: make(chan struct{}), static: options.instance != ""}
	given := []kgo.Opt{
		kgo.SeedBrokers(f.bootstrap),
		kgo.ConsumerGroup(options.group),
		kgo.ConsumeTopics(options.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(10 * time.Second),
		kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.FetchMaxWait(200 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) { member.change(given, true) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, taken map[string][]int32) { member.change(taken, false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { member.change(lost, false) }),
	}
	switch options.balancer {
	case "cooperative":
		given = append(given, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	case "server":
		given = append(given, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	default:
		given = append(given, kgo.Balancers(kgo.RangeBalancer()))
	}
	if options.instance != "" {
		given = append(given, kgo.InstanceID(options.instance))
	}
	if options.clientID != "" {
		given = append(given, kgo.ClientID(options.clientID))
	}
	client, err := kgo.NewClient(given...)
	if err != nil {
		return nil, err
	}
	member.client = client
	ctx, leave := context.WithCancel(context.Background())
	member.leave = leave
	go member.run(ctx, handle)
	return member, nil
}

func (m *franzMember) run(ctx context.Context, handle func([]Record)) {
	defer close(m.left)
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		records, err := fetched(m.client.PollFetches(poll))
		cancel()
		m.failed.add(err)
		handle(records)
		if len(records) > 0 {
			if err := m.client.CommitUncommittedOffsets(soon()); err != nil && !rebalancing(err) {
				m.failed.add(err)
			}
		}
		m.client.AllowRebalance()
	}
}

// rebalancing is why a commit may be refused without harm: what was read since comes again.
func rebalancing(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID) ||
		errors.Is(err, kerr.StaleMemberEpoch)
}

func (m *franzMember) change(topics map[string][]int32, given bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, partitions := range topics {
		for _, partition := range partitions {
			m.changes++
			if given {
				m.owned[partition] = true
			} else {
				delete(m.owned, partition)
			}
		}
	}
}

func (m *franzMember) Owned() map[int32]bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	return maps.Clone(m.owned)
}

func (m *franzMember) Changes() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.changes
}

func (m *franzMember) Err() error { return m.failed.first() }

// Close leaves the group; a static member only stops, and franz-go leaves a static member in its group by itself.
func (m *franzMember) Close() error {
	m.leave()
	<-m.left
	m.client.CloseAllowingRebalance()
	return m.failed.first()
}
