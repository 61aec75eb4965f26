// kafkajs. What it does not bring for snappy, lz4 and zstd is given to it as it documents, by other packages.

import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4-napi')
const { ZstdCodec } = require('zstd-codec')

const zstd = new Promise((resolve) => ZstdCodec.run((loaded) => resolve(new loaded.Streaming())))

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4.compressFrameSync(encoder.buffer),
  decompress: async (buffer) => lz4.decompressFrameSync(buffer)
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from((await zstd).compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from((await zstd).decompress(buffer))
})

const CODECS = { gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }

export class Kafkajs {
  name = 'kafkajs'
  lacks = {
    'static-member': 'kafkajs has no static members',
    'max-timestamp': 'kafkajs asks ListOffsets for earliest, latest and times alone',
    'error-offset-out-of-range': 'kafkajs starts again by itself where an offset is out of range',
    'admin-log-dirs': 'kafkajs has no DescribeLogDirs'
  }

  constructor (bootstrap) {
    this.bootstrap = bootstrap
    this.kafka = new Kafka({
      clientId: 'klamm',
      brokers: [bootstrap],
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, maxRetryTime: 1000, retries: 100 }
    })
  }

  async #admin () {
    if (!this.admin) { // it tries again what Kafka refuses, an unknown topic above all, so it must not try for long
      this.admin = this.kafka.admin({ retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 8 } })
      await this.admin.connect()
    }
    return this.admin
  }

  async close () {
    await this.admin?.disconnect()
  }

  async createTopic (topic, partitions = 1, configs = {}, replicas = 1) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const topics = [{ topic, numPartitions: partitions, replicationFactor: replicas, configEntries }]
    const made = await (await this.#admin()).createTopics({ topics, waitForLeaders: true })
    if (!made) throw Object.assign(new Error('the topic is there'), { code: 36 }) // kafkajs says so with false
  }

  async deleteTopic (topic) {
    await (await this.#admin()).deleteTopics({ topics: [topic] })
  }

  async createPartitions (topic, count) {
    await (await this.#admin()).createPartitions({ topicPartitions: [{ topic, count }] })
  }

  async topics () {
    const { topics } = await (await this.#admin()).fetchTopicMetadata()
    return new Map(topics.map((topic) => [topic.name, topic.partitions.length]))
  }

  async configs (topic) {
    const answer = await (await this.#admin()).describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }]
    })
    return Object.fromEntries(answer.resources[0].configEntries.map((entry) => [entry.configName, entry.configValue]))
  }

  // kafkajs speaks AlterConfigs alone, which forgets what it does not name.
  async setConfigs (topic, configs) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }]
    await (await this.#admin()).alterConfigs({ validateOnly: false, resources })
  }

  async deleteRecords (topic, partition, offset) {
    await (await this.#admin()).deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
  }

  async listOffset (topic, partition, at) {
    const admin = await this.#admin()
    if (at === 'earliest' || at === 'latest') {
      const found = (await admin.fetchTopicOffsets(topic)).find((one) => one.partition === partition)
      return Number(at === 'earliest' ? found.low : found.high)
    }
    return Number((await admin.fetchTopicOffsetsByTimestamp(topic, at)).find((one) => one.partition === partition).offset)
  }

  async groups () {
    return (await (await this.#admin()).listGroups()).groups.map((group) => group.groupId)
  }

  async describeGroup (group) {
    const { groups } = await (await this.#admin()).describeGroups([group])
    return { state: groups[0].state, clients: groups[0].members.map((member) => member.clientId) }
  }

  async deleteGroup (group) {
    try {
      await (await this.#admin()).deleteGroups([group])
    } catch (error) {
      throw Object.assign(error, { code: error.groups?.[0]?.errorCode })
    }
  }

  async groupOffsets (group, topic) {
    const found = await (await this.#admin()).fetchOffsets({ groupId: group, topics: [topic] })
    return Object.fromEntries(found[0].partitions.map((one) => [one.partition, Number(one.offset)]))
  }

  async alterGroupOffsets (group, topic, offsets) {
    const partitions = Object.entries(offsets).map(([partition, offset]) => ({ partition: Number(partition), offset: String(offset) }))
    await (await this.#admin()).setOffsets({ groupId: group, topic, partitions })
  }

  async cluster () {
    const found = await (await this.#admin()).describeCluster()
    return { controller: found.controller, id: found.clusterId, brokers: found.brokers.map((one) => [one.nodeId, `${one.host}:${one.port}`]) }
  }

  async reassignments () {
    return (await (await this.#admin()).listPartitionReassignments({})).topics
  }

  async producer ({ acks = 'all', codec = 'none', idempotent = false, transactional } = {}) {
    const producer = this.kafka.producer({
      idempotent: idempotent || Boolean(transactional),
      transactionalId: transactional,
      transactionTimeout: 60_000,
      ...(idempotent || transactional ? { maxInFlightRequests: 1 } : {})
    })
    await producer.connect()
    return new Producer(producer, acks, CODECS[codec])
  }

  async reader (topic, from, { committed = false } = {}) {
    const consumer = this.kafka.consumer({
      groupId: `reader-${Math.random()}`,
      readUncommitted: !committed,
      maxWaitTimeInMs: 100,
      maxBytesPerPartition: 2_000_000
    })
    const reader = new Reader(consumer)
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: Object.values(from).every((at) => at === 'earliest') })
    const joined = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve))
    await consumer.run({ autoCommit: false, eachBatch: async ({ batch }) => reader.push(batch) })
    for (const [partition, at] of Object.entries(from)) {
      if (typeof at === 'number') consumer.seek({ topic, partition: Number(partition), offset: String(at) })
    }
    await joined
    return reader
  }

  async member ({ group, topic, clientId }, handle) {
    const kafka = clientId
      ? new Kafka({ clientId, brokers: [this.bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 100 } })
      : this.kafka
    const consumer = kafka.consumer({
      groupId: group,
      sessionTimeout: 10_000,
      rebalanceTimeout: 10_000,
      heartbeatInterval: 300,
      maxWaitTimeInMs: 100
    })
    const member = new Member(consumer)
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => member.joined(payload.memberAssignment[topic] ?? []))
    consumer.on(consumer.events.REBALANCING, () => member.joined([]))
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommitThreshold: 100,
      eachBatch: async ({ batch, resolveOffset, commitOffsetsIfNecessary }) => {
        handle(batch.messages.map((message) => fromKafkajs(message, batch.partition)))
        resolveOffset(batch.lastOffset())
        await commitOffsetsIfNecessary()
      }
    })
    return member
  }
}

class Producer {
  constructor (producer, acks, codec) {
    this.producer = producer
    this.options = { acks: acks === 'all' ? -1 : Number(acks), compression: codec ? CompressionTypes[codec] : CompressionTypes.None }
  }

  // The offset of the first of `records`, all of one partition; undefined where no ack was asked for.
  async send (topic, partition, records) {
    const answer = await this.#send(this.producer, topic, partition, records)
    return answer?.[0]?.baseOffset === undefined ? undefined : Number(answer[0].baseOffset)
  }

  #send (sender, topic, partition, records) {
    const messages = records.map(({ key = null, value, headers, timestamp }) => ({
      key,
      value,
      partition,
      headers: headers && Object.fromEntries(headers),
      timestamp: timestamp === undefined ? undefined : String(timestamp)
    }))
    return sender.send({ topic, messages, ...this.options })
  }

  async begin () {
    this.transaction = await this.producer.transaction()
  }

  async sendIn (topic, partition, records) {
    await this.#send(this.transaction, topic, partition, records)
  }

  commit () {
    return this.transaction.commit()
  }

  abort () {
    return this.transaction.abort()
  }

  close () {
    return this.producer.disconnect()
  }
}

function fromKafkajs (message, partition) {
  const headers = Object.entries(message.headers ?? {}).flatMap(([key, value]) => [value].flat().map((one) => [key, one]))
  return { partition, offset: Number(message.offset), key: message.key, value: message.value, headers, timestamp: Number(message.timestamp) }
}

class Reader {
  records = []

  constructor (consumer) {
    this.consumer = consumer
  }

  push (batch) {
    for (const message of batch.messages) this.records.push(fromKafkajs(message, batch.partition))
  }

  close () {
    return this.consumer.disconnect()
  }
}

class Member {
  owned = []
  changes = 0

  constructor (consumer) {
    this.consumer = consumer
  }

  joined (partitions) {
    this.owned = partitions
    this.changes++
  }

  close () {
    return this.consumer.disconnect()
  }
}

