// Where to read: by time, from either end, from anywhere between.

import { asRecords, fromAll, made, numbers, readAll, sendNumbers, take, values } from './reading.js'
import { BASE } from './records.js'
import { equal, eventually, isTrue } from './suite.js'

async function byTime (client) {
  const topic = await made(client, 'by-time', 1, { 'retention.ms': '-1' })
  const producer = await client.producer()
  for (let batch = 0; batch < 10; batch++) {
    const records = numbers(batch * 10, batch * 10 + 10).map((i) => ({ value: Buffer.from(i), timestamp: BASE + Number(i) * 1000 }))
    await producer.send(topic, 0, records)
  }
  await producer.close()
  for (const [time, offset] of [[-1, 0], [0, 0], [1, 1], [41_500, 42], [50_000, 50], [99_000, 99]]) {
    equal(offset, await client.listOffset(topic, 0, BASE + time), `first offset at or after ${time}`)
  }
}

async function ends (client) {
  const topic = await made(client, 'ends', 2)
  await sendNumbers(client, topic, 0, 25)
  const both = async () => [await client.listOffset(topic, 0, 'earliest'), await client.listOffset(topic, 0, 'latest')]
  equal([0, 25], await both(), 'ends')
  await client.deleteRecords(topic, 0, 10)
  equal([10, 25], await both(), 'ends after deleting records')
  equal(numbers(10, 25), values(await readAll(client, topic, 2)), 'values left')
}

async function maxTimestamp (client) {
  const topic = await made(client, 'max-timestamp', 1, { 'retention.ms': '-1' })
  const producer = await client.producer()
  for (let i = 0; i < 10; i++) await producer.send(topic, 0, [{ value: Buffer.from('v'), timestamp: BASE + (i === 6 ? 1000 : i) }])
  await producer.close()
  equal(6, await client.listOffset(topic, 0, 'max-timestamp'), 'offset of the greatest time stamp')
}

async function seek (client) {
  const topic = await made(client, 'seek')
  await sendNumbers(client, topic, 0, 1000)
  for (const offset of [500, 7, 999, 0, 123]) {
    const reader = await client.reader(topic, { 0: offset })
    const [record] = await take(reader, 1)
    await reader.close()
    equal(`${offset}@${offset}`, `${record.value}@${record.offset}`, 'record after a seek')
  }
}

async function fromEnd (client) {
  const topic = await made(client, 'from-end')
  await sendNumbers(client, topic, 0, 50)
  const reader = await client.reader(topic, fromAll(1, 'latest'))
  const producer = await client.producer()
  let next = 50 // neither client tells when it listens, so single records show it
  await eventually('a record that was sent after', async () => {
    await producer.send(topic, 0, asRecords([String(next++)]))
    return reader.records.length > 0
  })
  isTrue(reader.records[0].offset >= 50, `offset ${reader.records[0].offset} is from before`)
  await reader.close()
  await producer.close()
}

export const offsets = {
  'offsets-by-time': byTime,
  'list-offsets': ends,
  'max-timestamp': maxTimestamp,
  seek,
  'from-end': fromEnd
}
