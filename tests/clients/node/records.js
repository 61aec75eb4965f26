// What goes in comes out: codecs, shapes of records, time stamps, acks.

import { randomBytes } from 'node:crypto'
import { asRecords, fromAll, made, numbers, readAll, take, values } from './reading.js'
import { equal, isTrue, unique } from './suite.js'

export const BASE = 1_600_000_000_000

async function roundtrip (client, codec) {
  const topic = await made(client, `roundtrip-${codec}`, 3)
  const producer = await client.producer({ codec })
  const sent = new Map()
  for (let batch = 0; batch < 30; batch++) {
    const records = Array.from({ length: 100 }, (_, i) => ({
      key: Buffer.from(`key ${batch}/${i}`),
      value: Buffer.from(`value ${i} ${'of the gorge '.repeat(i % 30)}`)
    }))
    const offset = await producer.send(topic, batch % 3, records)
    records.forEach((record, i) => sent.set(`${batch % 3}/${offset + i}`, `${record.key}=${record.value}`))
  }
  await producer.close()
  const got = new Map((await readAll(client, topic, 3)).map((one) => [`${one.partition}/${one.offset}`, `${one.key}=${one.value}`]))
  equal(3000, got.size, 'records')
  for (const [place, record] of sent) equal(record, got.get(place), `record at ${place}`)
}

async function shapes (client) {
  const topic = await made(client, 'shapes')
  const sent = [
    { value: Buffer.from('no key') },
    { key: Buffer.from('no value'), value: null },
    { key: Buffer.alloc(0), value: Buffer.alloc(0) },
    { key: Buffer.from('Schlüssel 水'), value: randomBytes(1_000_000) },
    { key: Buffer.from('headers'), value: Buffer.from('two'), headers: [['one', Buffer.from('a')], ['two', Buffer.alloc(0)]] }
  ]
  const producer = await client.producer()
  for (const record of sent) await producer.send(topic, 0, [record])
  await producer.close()
  const got = await readAll(client, topic)
  equal(sent.length, got.length, 'records')
  const same = (one, other) => (one ?? null) === null || (other ?? null) === null ? (one ?? null) === (other ?? null) : one.equals(other)
  sent.forEach((record, i) => {
    isTrue(same(record.key, got[i].key), `key ${i} is ${got[i].key}`)
    isTrue(same(record.value, got[i].value), `value ${i} is not what was sent`)
    equal(record.headers ?? [], got[i].headers, `headers ${i}`)
  })
}

async function timestamps (client) {
  const given = await made(client, 'create-time', 1, { 'retention.ms': '-1' })
  const producer = await client.producer()
  for (let i = 0; i < 10; i++) await producer.send(given, 0, [{ value: Buffer.from('v'), timestamp: BASE + i * 7 }])
  equal(Array.from({ length: 10 }, (_, i) => BASE + i * 7), (await readAll(client, given)).map((one) => one.timestamp), 'time stamps given')
  const taken = await made(client, 'append-time', 1, { 'message.timestamp.type': 'LogAppendTime' })
  const before = Date.now()
  await producer.send(taken, 0, [{ value: Buffer.from('v'), timestamp: Date.now() }])
  await producer.close()
  const [record] = await readAll(client, taken)
  isTrue(before <= record.timestamp && record.timestamp <= Date.now(), `${record.timestamp} is the time of the append`)
}

async function acks (client, level) {
  const topic = await made(client, `acks-${level}`)
  const producer = await client.producer({ acks: level })
  for (let batch = 0; batch < 10; batch++) {
    const offset = await producer.send(topic, 0, asRecords(numbers(batch * 50, batch * 50 + 50)))
    if (level !== '0') equal(batch * 50, offset, 'offset answered')
  }
  const reader = await client.reader(topic, fromAll(1, 'earliest'))
  equal(numbers(0, 500), values(await take(reader, 500)), 'values')
  await reader.close()
  await producer.close()
}

async function autoCreate (client) {
  const topic = unique('made-by-use')
  const producer = await client.producer()
  equal(0, await producer.send(topic, 0, asRecords(['first'])), 'offset')
  await producer.close()
  equal(['first'], values(await readAll(client, topic)), 'values')
}

export const records = {
  ...Object.fromEntries(['none', 'gzip', 'snappy', 'lz4', 'zstd'].map((codec) => [`roundtrip-${codec}`, (client) => roundtrip(client, codec)])),
  'record-shapes': shapes,
  timestamps,
  ...Object.fromEntries(['0', '1', 'all'].map((level) => [`acks-${level}`, (client) => acks(client, level)])),
  'auto-create': autoCreate
}
