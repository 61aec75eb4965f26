// A text file, a line a record, comes out as it went in: its first part, for these clients make an object of every record.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { fromAll, made } from './reading.js'
import { equal, eventually, quick } from './suite.js'

const PARTITIONS = 4
const BATCH = 2000
const BYTES = { kafkajs: 100_000_000, platformatic: 50_000_000 }

async function carry (client) {
  const topic = await made(client, 'text', PARTITIONS)
  const producer = await client.producer({ codec: 'gzip' })
  const sent = Array.from({ length: PARTITIONS }, () => [])
  let partition = 0
  for await (const batch of batches(BYTES[client.name] / (quick ? 10 : 1))) {
    await producer.send(topic, partition, batch.map((line) => ({ value: Buffer.from(line) })))
    for (const line of batch) sent[partition].push(line)
    partition = (partition + 1) % PARTITIONS
  }
  await producer.close()
  const count = sent.reduce((sum, lines) => sum + lines.length, 0)
  const reader = await client.reader(topic, fromAll(PARTITIONS, 'earliest'))
  await eventually(`${count} lines come`, () => reader.records.length >= count, 180_000)
  await reader.close()
  equal(count, reader.records.length, 'lines')
  const next = sent.map(() => 0)
  for (const record of reader.records) {
    const expected = sent[record.partition][next[record.partition]++]
    if (record.value.toString() !== expected) equal(expected, record.value.toString(), `line at ${record.partition}/${record.offset}`)
  }
}

async function * batches (bytes) {
  let batch = []
  for await (const line of createInterface({ input: createReadStream(process.env.TEXT, { end: bytes - 1 }), crlfDelay: Infinity })) {
    batch.push(line)
    if (batch.length === BATCH) {
      yield batch
      batch = []
    }
  }
  if (batch.length) yield batch
}

export const text = { text: carry }
