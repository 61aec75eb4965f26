// What was acknowledged outlives the broker's process.

import { asRecords, made, numbers, readAll, sendNumbers } from './reading.js'
import { codes, control, equal, eventually, isTrue, unique } from './suite.js'

const PARTITIONS = 3
const BATCH = 20

// A producer under load while the broker goes and comes back: each acknowledged record is there once, in order, where the ack said.
async function everyAckOnceInOrder (client, end) {
  const topic = await made(client, 'idempotent', PARTITIONS)
  const producer = await client.producer({ idempotent: true })
  const acked = Array.from({ length: PARTITIONS }, () => []) // [offset of the batch, its values]
  const count = () => acked.reduce((sum, batches) => sum + batches.length * BATCH, 0)
  let enough = false
  let failure
  const disturb = (async () => {
    await eventually('acks before the end', () => failure || count() > 1000)
    await control(end)
    const before = count()
    await control('start')
    await eventually('acks after the start', () => failure || count() > before + 1000)
  })().catch((error) => { failure ??= error }).finally(() => { enough = true })
  await Promise.all(acked.map(async (batches, partition) => {
    for (let next = 0; !enough; next += BATCH) {
      const values = numbers(next, next + BATCH)
      try {
        batches.push([await producer.send(topic, partition, asRecords(values)), values])
      } catch (error) {
        failure ??= error
        return
      }
    }
  }))
  await disturb
  await producer.close()
  if (failure) throw failure
  const got = await readAll(client, topic, PARTITIONS)
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const there = got.filter((record) => record.partition === partition)
    const sent = acked[partition].flatMap(([offset, values]) => values.map((value, i) => `${value}@${offset + i}`))
    equal(sent.length, there.length, `records in partition ${partition}`)
    there.forEach((record, i) => equal(sent[i], `${record.value}@${record.offset}`, `record ${i} of partition ${partition}`))
  }
}

async function committedOffsets (client) {
  const topic = await made(client, 'committed')
  const group = unique('committed')
  await sendNumbers(client, topic, 0, 50)
  const seen = new Set()
  const first = await client.member({ group, topic }, (records) => records.forEach((record) => seen.add(record.value.toString())))
  await eventually('the first half is read', () => seen.size === 50)
  await eventually('it is committed', async () => (await client.groupOffsets(group, topic))[0] === 50)
  await first.close()
  await control('restart')
  let found
  await eventually('the coordinator answers', async () => {
    try {
      found = await client.groupOffsets(group, topic)
      return true
    } catch (error) {
      // COORDINATOR_LOAD_IN_PROGRESS, _NOT_AVAILABLE, NOT_COORDINATOR, or a connection that ended with the broker
      isTrue(codes(error).every((code) => code >= 14 && code <= 16), `offsets: ${error.message}`)
      return false
    }
  })
  equal({ 0: 50 }, found, 'committed offsets')
  await sendNumbers(client, topic, 50, 100)
  const later = new Set()
  const second = await client.member({ group, topic }, (records) => records.forEach((record) => later.add(record.value.toString())))
  await eventually('the second half is read', () => later.size === 50)
  await second.close()
  equal(new Set(numbers(50, 100)), later, 'values of the second half')
}

export const durability = {
  'idempotent-restart': (client) => everyAckOnceInOrder(client, 'stop'),
  'idempotent-kill9': (client) => everyAckOnceInOrder(client, 'kill9'),
  'committed-offsets-restart': committedOffsets
}
