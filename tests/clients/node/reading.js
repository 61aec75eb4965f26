// Reading that waits for what must come.

import { equal, eventually, unique } from './suite.js'

export async function made (client, stem, partitions = 1, configs = {}) {
  const topic = unique(stem)
  await client.createTopic(topic, partitions, configs)
  await eventually('the topic is listed', async () => (await client.topics()).get(topic) === partitions)
  return topic
}

export function fromAll (partitions, at) {
  return Object.fromEntries(Array.from({ length: partitions }, (_, partition) => [partition, at]))
}

export async function take (reader, count) {
  await eventually(`${count} records come`, () => reader.records.length >= count)
  return reader.records.splice(0)
}

// All records of a topic, from its beginnings to where its ends are now; order is kept within a partition.
export async function readAll (client, topic, partitions = 1) {
  let total = 0
  for (let partition = 0; partition < partitions; partition++) {
    total += (await client.listOffset(topic, partition, 'latest')) - (await client.listOffset(topic, partition, 'earliest'))
  }
  if (total === 0) return []
  const reader = await client.reader(topic, fromAll(partitions, 'earliest'))
  try {
    const records = await take(reader, total)
    equal(total, records.length, 'records that came')
    return records
  } finally {
    await reader.close()
  }
}

export const values = (records) => records.map((record) => record.value.toString())

export const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => String(from + i))

export const asRecords = (values) => values.map((value) => ({ value: Buffer.from(value) }))

export async function sendNumbers (client, topic, from, to, partition = 0) {
  const producer = await client.producer()
  await producer.send(topic, partition, asRecords(numbers(from, to)))
  await producer.close()
}
