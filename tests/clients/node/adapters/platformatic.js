// @platformatic/kafka.

import { Admin, Consumer, Producer as PlatformaticProducer } from '@platformatic/kafka'

export class Platformatic {
  name = 'platformatic'
  lacks = {
    'roundtrip-zstd': 'it takes zstd from Node, which has it from 22.15 on',
    'static-member': 'it leaves its group when it closes, static member or not',
    'error-offset-out-of-range': 'it starts again by itself where an offset is out of range',
    'admin-reassignments': 'it has no partition reassignments'
  }

  constructor (bootstrap) {
    this.bootstrap = bootstrap
    this.options = { clientId: 'klamm', bootstrapBrokers: [bootstrap], retries: 600, retryDelay: 100, timeout: 30_000, autocreateTopics: true }
    // Its errors of use are found by a first answer; retrying those would take the patience of every test.
    this.admin = new Admin({ ...this.options, retries: 3 })
  }

  close () {
    return this.admin.close()
  }

  async createTopic (topic, partitions = 1, configs = {}, replicas = 1) {
    const entries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    await this.admin.createTopics({ topics: [topic], partitions, replicas, configs: entries })
  }

  deleteTopic (topic) {
    return this.admin.deleteTopics({ topics: [topic] })
  }

  createPartitions (topic, count) {
    return this.admin.createPartitions({ topics: [{ name: topic, count, assignments: null }] })
  }

  async topics () {
    const names = await this.admin.listTopics()
    const found = await this.admin.metadata({ topics: names, forceUpdate: true, autocreateTopics: false })
    return new Map([...found.topics].map(([name, topic]) => [name, topic.partitionsCount]))
  }

  async configs (topic) {
    const found = await this.admin.describeConfigs({ resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }] })
    return Object.fromEntries(found[0].configs.map((entry) => [entry.name, entry.value]))
  }

  async setConfigs (topic, configs) {
    const entries = Object.entries(configs).map(([name, value]) => ({ name, value, configOperation: 0 }))
    await this.admin.incrementalAlterConfigs({ resources: [{ resourceType: 2, resourceName: topic, configs: entries }] })
  }

  deleteRecords (topic, partition, offset) {
    return this.admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(offset) }] }] })
  }

  // It asks in the leader's epoch that it heard last, and does not hear anew when the broker answers FENCED_LEADER_EPOCH, as any
  // broker does that was started again since: its user has to.
  async listOffset (topic, partition, at) {
    await this.admin.metadata({ topics: [topic], forceUpdate: true })
    const timestamp = BigInt({ earliest: -2, latest: -1, 'max-timestamp': -3 }[at] ?? at)
    const found = await this.admin.listOffsets({ topics: [{ name: topic, partitions: [{ partitionIndex: partition, timestamp }] }] })
    return Number(found[0].partitions[0].offset)
  }

  async groups () {
    return [...(await this.admin.listGroups()).keys()]
  }

  async describeGroup (group) {
    const found = (await this.admin.describeGroups({ groups: [group] })).get(group)
    const state = found.state.charAt(0) + found.state.slice(1).toLowerCase()
    return { state, clients: [...found.members.values()].map((member) => member.clientId) }
  }

  deleteGroup (group) {
    return this.admin.deleteGroups({ groups: [group] })
  }

  async groupOffsets (group, topic) {
    const found = await this.admin.listConsumerGroupOffsets({ groups: [group] })
    const partitions = found[0].topics.find((one) => one.name === topic)?.partitions ?? []
    return Object.fromEntries(partitions.map((one) => [one.partitionIndex, Number(one.committedOffset)]))
  }

  alterGroupOffsets (group, topic, offsets) {
    const partitionOffsets = Object.entries(offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: BigInt(offset) }))
    return this.admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets }] })
  }

  async cluster () {
    const found = await this.admin.metadata({ topics: [], forceUpdate: true })
    const brokers = [...found.brokers].map(([id, one]) => [id, `${one.host}:${one.port}`])
    return { controller: found.controllerId, id: found.id, brokers }
  }

  async logDirSize (topic) {
    const found = await this.admin.describeLogDirs({ topics: [{ name: topic, partitions: [0] }] })
    return Number(found[0].results[0].topics[0].partitions[0].partitionSize)
  }

  async producer ({ acks = 'all', codec = 'none', idempotent = false, transactional } = {}) {
    const producer = new PlatformaticProducer({
      ...this.options,
      acks: acks === 'all' ? -1 : Number(acks),
      compression: codec,
      idempotent: idempotent || Boolean(transactional),
      transactionalId: transactional
    })
    return new Producer(producer)
  }

  async reader (topic, from, { committed = false } = {}) {
    const consumer = new Consumer({ ...this.options, groupId: `reader-${Math.random()}`, maxWaitTime: 100 })
    const offsets = []
    for (const [partition, at] of Object.entries(from)) {
      const offset = typeof at === 'number' ? at : await this.listOffset(topic, Number(partition), at)
      offsets.push({ topic, partition: Number(partition), offset: BigInt(offset) })
    }
    const stream = await consumer.consume({
      topics: [topic],
      mode: 'manual',
      offsets,
      isolationLevel: committed ? 1 : 0,
      autocommit: false,
      sessionTimeout: 10_000,
      heartbeatInterval: 1000,
      maxBytes: 10_000_000
    })
    return new Reader(consumer, stream)
  }

  async member ({ group, topic, clientId, instance }, handle) {
    const consumer = new Consumer({
      ...this.options,
      ...(clientId ? { clientId } : {}),
      ...(instance ? { groupInstanceId: instance } : {}),
      groupId: group,
      sessionTimeout: 10_000,
      rebalanceTimeout: 10_000,
      heartbeatInterval: 300,
      maxWaitTime: 100
    })
    const member = new Member(consumer, topic)
    const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit: 200 })
    stream.on('data', (message) => handle([fromPlatformatic(message)]))
    stream.on('error', (error) => console.error('a member is told:', error))
    return member
  }
}

class Producer {
  constructor (producer) {
    this.producer = producer
  }

  async send (topic, partition, records, sender = this.producer) {
    const messages = records.map(({ key, value, headers, timestamp }) => ({
      topic,
      partition,
      key,
      value,
      headers: headers && new Map(headers.map(([name, one]) => [Buffer.from(name), one])),
      timestamp: timestamp === undefined ? undefined : BigInt(timestamp)
    }))
    const { offsets } = await sender.send({ messages })
    return offsets?.[0] === undefined ? undefined : Number(offsets[0].offset)
  }

  async begin () {
    this.transaction = await this.producer.beginTransaction()
  }

  sendIn (topic, partition, records) {
    return this.send(topic, partition, records, this.transaction)
  }

  commit () {
    return this.transaction.commit()
  }

  abort () {
    return this.transaction.abort()
  }

  close () {
    return this.producer.close(true)
  }
}

function fromPlatformatic (message) {
  return {
    partition: message.partition,
    offset: Number(message.offset),
    key: message.key ?? null,
    value: message.value ?? null,
    headers: [...message.headers].map(([name, value]) => [name.toString(), value]),
    timestamp: Number(message.timestamp)
  }
}

class Reader {
  records = []

  constructor (consumer, stream) {
    this.consumer = consumer
    stream.on('data', (message) => this.records.push(fromPlatformatic(message)))
    stream.on('error', (error) => console.error('a reader is told:', error))
  }

  close () {
    return this.consumer.close(true)
  }
}

class Member {
  changes = 0

  constructor (consumer, topic) {
    this.consumer = consumer
    this.topic = topic
    consumer.on('consumer:group:join', () => this.changes++)
  }

  get owned () {
    return (this.consumer.assignments ?? []).filter((one) => one.topic === this.topic).flatMap((one) => one.partitions)
  }

  close () {
    return this.consumer.close(true)
  }
}
