// What is refused, with Kafka's codes.

import { randomBytes } from 'node:crypto'
import { asRecords, made } from './reading.js'
import { equal, refused, unique } from './suite.js'

async function unknownTopic (client) {
  const none = unique('none')
  await refused(3, () => client.deleteTopic(none), 'deleting what is not there')
  await refused(3, () => client.createPartitions(none, 2), 'adding partitions to what is not there')
  await refused(3, () => client.configs(none), 'describing what is not there')
}

async function invalidTopic (client) {
  for (const name of ['bad/topic', '..', 'x'.repeat(250)]) await refused(17, () => client.createTopic(name), name)
}

async function topicExists (client) {
  const topic = await made(client, 'exists')
  await refused(36, () => client.createTopic(topic), 'creating what is there')
}

async function tooLarge (client) {
  const topic = await made(client, 'too-large', 1, { 'max.message.bytes': '1000' })
  const producer = await client.producer()
  equal(0, await producer.send(topic, 0, asRecords(['x'.repeat(500)])), 'offset of a record that fits')
  await refused(10, () => producer.send(topic, 0, [{ value: randomBytes(5000) }]), 'a record that does not fit')
  equal(1, await producer.send(topic, 0, asRecords(['x'.repeat(500)])), 'offset of the record after the refused one')
  await producer.close()
}

async function invalidPartitions (client) {
  const topic = await made(client, 'partitions', 3)
  await refused(38, () => client.createTopic(unique('two'), 1, {}, 2), 'two replicas on one broker')
  await refused(37, () => client.createPartitions(topic, 3), 'as many partitions as there are')
  await refused(37, () => client.createPartitions(topic, 2), 'fewer partitions')
}

async function invalidConfig (client) {
  const topic = await made(client, 'config')
  await refused(40, () => client.setConfigs(topic, { 'retention.minutes': '1' }), 'a key that is not known')
  await refused(40, () => client.setConfigs(topic, { 'retention.ms': 'many' }), 'a value that is no number')
  await refused(40, () => client.createTopic(unique('refused'), 1, { 'segment.bytes': '1' }), 'a value out of bounds')
}

export const errors = {
  'error-unknown-topic': unknownTopic,
  'error-invalid-topic': invalidTopic,
  'error-topic-exists': topicExists,
  'error-too-large': tooLarge,
  'error-invalid-partitions': invalidPartitions,
  'error-invalid-config': invalidConfig
}
