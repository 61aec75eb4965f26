package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// shopify is sarama, by its first home's name.
type shopify struct {
	bootstrap []string
	admin     sarama.ClusterAdmin
	client    sarama.Client
}

func newSarama(bootstrap string) Client { return &shopify{bootstrap: []string{bootstrap}} }

func (s *shopify) Name() string { return "sarama" }

func (s *shopify) Lacks(promise string) string {
	return map[string]string{
		"group-cooperative":   "sarama has no cooperative assignor",
		"group-848-rebalance": "sarama has no KIP-848 groups",
		"fetch-sessions":      "sarama reads without fetch sessions",
		"admin-producers":     "sarama has no DescribeProducers",
		"max-timestamp":       "sarama asks ListOffsets in a version that knows no greatest time stamp",
	}[promise]
}

func (s *shopify) config() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 2_000_000
	config.Producer.Retry.Max = 100
	config.Producer.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Metadata.Retry.Max = 100
	config.Admin.Retry.Max = 20
	return config
}

func (s *shopify) connect() (sarama.ClusterAdmin, sarama.Client) {
	if s.admin == nil {
		client, err := sarama.NewClient(s.bootstrap, s.config())
		must(err, "client")
		admin, err := sarama.NewClusterAdminFromClient(client)
		must(err, "admin client")
		s.admin, s.client = admin, client
	}
	return s.admin, s.client
}

func (s *shopify) Close() {
	if s.admin != nil {
		s.admin.Close()
	}
}

func (s *shopify) CreateTopic(name string, partitions int32, replicas int16, configs map[string]string) error {
	admin, _ := s.connect()
	given := map[string]*string{}
	for key, value := range configs {
		given[key] = &value
	}
	return admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: given}, false)
}

func (s *shopify) DeleteTopic(name string) error {
	admin, _ := s.connect()
	return admin.DeleteTopic(name)
}

func (s *shopify) CreatePartitions(name string, total int32) error {
	admin, _ := s.connect()
	return admin.CreatePartitions(name, total, nil, false)
}

func (s *shopify) Topics() (map[string]int, error) {
	admin, _ := s.connect()
	found, err := admin.ListTopics()
	topics := map[string]int{}
	for name, detail := range found {
		topics[name] = int(detail.NumPartitions)
	}
	return topics, err
}

func (s *shopify) Configs(topic string) (map[string]string, error) {
	admin, _ := s.connect()
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	configs := map[string]string{}
	for _, entry := range entries {
		configs[entry.Name] = entry.Value
	}
	return configs, err
}

func (s *shopify) AlterConfig(topic, op, key, value string) error {
	admin, _ := s.connect()
	ops := map[string]sarama.IncrementalAlterConfigsOperation{
		"set": sarama.IncrementalAlterConfigsOperationSet, "delete": sarama.IncrementalAlterConfigsOperationDelete,
		"append": sarama.IncrementalAlterConfigsOperationAppend, "subtract": sarama.IncrementalAlterConfigsOperationSubtract,
	}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: ops[op], Value: &value}}
	return admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false)
}

func (s *shopify) DeleteRecords(topic string, partition int32, before int64) error {
	admin, _ := s.connect()
	return admin.DeleteRecords(topic, map[int32]int64{partition: before})
}

func (s *shopify) ListOffset(topic string, partition int32, at int64) (int64, error) {
	admin, _ := s.connect()
	found, err := admin.ListOffsets(map[string]map[int32]int64{topic: {partition: at}}, nil)
	if err != nil {
		return -1, err
	}
	answer := found[topic][partition]
	if code(answer.Err) == 0 { // sarama says "no error" with an error
		return answer.Offset, nil
	}
	return answer.Offset, answer.Err
}

func (s *shopify) Groups() (map[string]bool, error) {
	admin, _ := s.connect()
	found, err := admin.ListConsumerGroups()
	groups := map[string]bool{}
	for name := range found {
		groups[name] = true
	}
	return groups, err
}

func (s *shopify) DescribeGroup(group string) (string, []string, error) {
	admin, _ := s.connect()
	found, err := admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", nil, err
	}
	clients := []string{}
	for _, member := range found[0].Members {
		clients = append(clients, member.ClientId)
	}
	return found[0].State, clients, orNil(found[0].Err)
}

func (s *shopify) DeleteGroup(group string) error {
	admin, _ := s.connect()
	return admin.DeleteConsumerGroup(group)
}

func (s *shopify) GroupOffsets(group, topic string) (map[int32]int64, error) {
	admin, _ := s.connect()
	found, err := admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]int64{}
	for partition, block := range found.Blocks[topic] {
		offsets[partition] = block.Offset
		err = errors.Join(err, orNil(block.Err))
	}
	return offsets, errors.Join(err, orNil(found.Err))
}

func orNil(err sarama.KError) error {
	if err == sarama.ErrNoError {
		return nil
	}
	return err
}

func (s *shopify) AlterGroupOffsets(group, topic string, at map[int32]int64) error {
	admin, _ := s.connect()
	offsets := map[int32]sarama.OffsetAndMetadata{}
	for partition, offset := range at {
		offsets[partition] = sarama.OffsetAndMetadata{Offset: offset, LeaderEpoch: -1}
	}
	answer, err := admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{topic: offsets}, nil)
	if err != nil {
		return err
	}
	for _, code := range answer.Errors[topic] {
		err = errors.Join(err, orNil(code))
	}
	return err
}

func (s *shopify) Cluster() (int32, map[int32]string, error) {
	admin, _ := s.connect()
	brokers, controller, err := admin.DescribeCluster()
	addresses := map[int32]string{}
	for _, broker := range brokers {
		addresses[broker.ID()] = broker.Addr()
	}
	return controller, addresses, err
}

func (s *shopify) ElectLeaders(topic string) error {
	admin, _ := s.connect()
	answers, err := admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0}})
	if err != nil {
		return err
	}
	return orNil(answers[topic][0].ErrorCode)
}

func (s *shopify) LogDirSize(topic string) (int64, error) {
	admin, _ := s.connect()
	controller, _, err := s.Cluster()
	if err != nil {
		return -1, err
	}
	found, err := admin.DescribeLogDirs([]int32{controller})
	for _, dir := range found[controller] {
		for _, one := range dir.Topics {
			if one.Topic == topic {
				return one.Partitions[0].Size, err
			}
		}
	}
	return -1, err
}

func (s *shopify) Reassignments(topic string) (int, error) {
	admin, _ := s.connect()
	found, err := admin.ListPartitionReassignments(topic, []int32{0})
	return len(found), err
}

func (s *shopify) ActiveProducers(string) ([]ActiveProducer, error) {
	return nil, errors.New(s.Lacks("admin-producers"))
}

type shopifyProducer struct {
	producer sarama.AsyncProducer
	waiting  sync.WaitGroup
	ended    sync.WaitGroup
}

func (s *shopify) Producer(options ProducerOptions) (Producer, error) {
	config := s.config()
	config.Producer.Flush.Frequency = options.linger
	config.Producer.Compression = map[string]sarama.CompressionCodec{
		"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}[options.codec]
	config.Producer.RequiredAcks = map[string]sarama.RequiredAcks{
		"": sarama.WaitForAll, "all": sarama.WaitForAll, "1": sarama.WaitForLocal, "0": sarama.NoResponse,
	}[options.acks]
	if options.idempotent || options.transactional != "" {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	config.Producer.Transaction.ID = options.transactional
	async, err := sarama.NewAsyncProducer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	producer := &shopifyProducer{producer: async}
	producer.ended.Add(2)
	go func() {
		defer producer.ended.Done()
		for message := range async.Successes() {
			producer.tell(message, nil)
		}
	}()
	go func() {
		defer producer.ended.Done()
		for failure := range async.Errors() {
			producer.tell(failure.Msg, failure.Err)
		}
	}()
	return producer, nil
}

func (p *shopifyProducer) tell(message *sarama.ProducerMessage, err error) {
	done := message.Metadata.(func(Record, error))
	done(Record{Topic: message.Topic, Partition: message.Partition, Offset: message.Offset, Time: message.Timestamp}, err)
	p.waiting.Done()
}

func (p *shopifyProducer) Send(record Record, done func(Record, error)) {
	message := &sarama.ProducerMessage{Topic: record.Topic, Partition: record.Partition, Timestamp: record.Time, Metadata: done}
	if record.Key != nil {
		message.Key = sarama.ByteEncoder(record.Key)
	}
	if record.Value != nil {
		message.Value = sarama.ByteEncoder(record.Value)
	}
	for _, header := range record.Headers {
		message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
	}
	p.waiting.Add(1)
	p.producer.Input() <- message
}

func (p *shopifyProducer) Flush() error {
	p.waiting.Wait()
	return nil
}

func (p *shopifyProducer) Begin() error  { return p.producer.BeginTxn() }
func (p *shopifyProducer) Commit() error { return p.producer.CommitTxn() }
func (p *shopifyProducer) Abort() error  { return p.producer.AbortTxn() }

func (p *shopifyProducer) Close() {
	p.producer.AsyncClose()
	p.ended.Wait()
}

func fromSarama(message *sarama.ConsumerMessage) Record {
	var headers []Header
	for _, header := range message.Headers {
		headers = append(headers, Header{string(header.Key), header.Value})
	}
	return Record{
		Topic: message.Topic, Partition: message.Partition, Offset: message.Offset, Key: message.Key, Value: message.Value,
		Time: message.Timestamp, Headers: headers,
	}
}

type shopifyReader struct {
	consumer   sarama.Consumer
	partitions []sarama.PartitionConsumer
	messages   chan *sarama.ConsumerMessage
	failed     failures
}

func (s *shopify) Reader(topic string, from map[int32]int64, committed bool) (Reader, error) {
	config := s.config()
	if committed {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	reader := &shopifyReader{consumer: consumer, messages: make(chan *sarama.ConsumerMessage, 10_000)}
	for partition, at := range from {
		one, err := consumer.ConsumePartition(topic, partition, at)
		if err != nil {
			reader.Close()
			return nil, err
		}
		reader.partitions = append(reader.partitions, one)
		go func() {
			for message := range one.Messages() {
				reader.messages <- message
			}
		}()
		go func() {
			for err := range one.Errors() {
				reader.failed.add(err.Err)
			}
		}()
	}
	return reader, nil
}

func (r *shopifyReader) Poll(wait time.Duration) ([]Record, error) {
	records := []Record{}
	timeout := time.After(wait)
	for {
		select {
		case message := <-r.messages:
			records = append(records, fromSarama(message))
			if len(r.messages) == 0 {
				return records, r.failed.first()
			}
		case <-timeout:
			return records, r.failed.first()
		}
	}
}

func (r *shopifyReader) Close() {
	for _, partition := range r.partitions {
		partition.AsyncClose()
	}
	go func() { // what was read and not asked for
		for {
			select {
			case <-r.messages:
			case <-time.After(time.Second):
				return
			}
		}
	}()
	for _, partition := range r.partitions {
		for range partition.Messages() {
		}
	}
	r.consumer.Close()
}

// shopifyMember is also sarama's handler of a group's sessions.
type shopifyMember struct {
	group   sarama.ConsumerGroup
	handle  func([]Record)
	leave   context.CancelFunc
	left    chan struct{}
	lock    sync.Mutex
	owned   map[int32]bool
	changes int
	failed  failures
}

func (s *shopify) Member(options MemberOptions, handle func([]Record)) (Member, error) {
	config := s.config()
	config.Consumer.Group.InstanceId = options.instance
	if options.clientID != "" {
		config.ClientID = options.clientID
	}
	group, err := sarama.NewConsumerGroup(s.bootstrap, options.group, config)
	if err != nil {
		return nil, err
	}
	ctx, leave := context.WithCancel(context.Background())
	member := &shopifyMember{group: group, handle: handle, leave: leave, left: make(chan struct{}), owned: map[int32]bool{}}
	go func() {
		defer close(member.left)
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{options.topic}, member); err != nil && ctx.Err() == nil {
				member.failed.add(fmt.Errorf("consume: %w", err))
				return
			}
		}
	}()
	go func() {
		for err := range group.Errors() {
			fmt.Println("a member is told:", err)
		}
	}()
	return member, nil
}

func (m *shopifyMember) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, partitions := range session.Claims() {
		for _, partition := range partitions {
			m.owned[partition] = true
		}
	}
	m.changes++
	return nil
}

func (m *shopifyMember) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.owned = map[int32]bool{}
	m.changes++
	return nil
}

func (m *shopifyMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.handle([]Record{fromSarama(message)})
		session.MarkMessage(message, "")
		if len(claim.Messages()) == 0 {
			session.Commit()
		}
	}
	session.Commit()
	return nil
}

func (m *shopifyMember) Owned() map[int32]bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	return maps.Clone(m.owned)
}

func (m *shopifyMember) Changes() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.changes
}

func (m *shopifyMember) Err() error { return m.failed.first() }

func (m *shopifyMember) Close() error {
	m.leave()
	<-m.left
	err := m.group.Close()
	if slices.Contains([]error{sarama.ErrClosedClient, sarama.ErrClosedConsumerGroup}, err) {
		err = nil
	}
	return errors.Join(err, m.failed.first())
}
