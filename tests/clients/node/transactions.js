// All of a transaction is read, or nothing of it.

import { asRecords, fromAll, made, values } from './reading.js'
import { equal, eventually, unique } from './suite.js'

// A reader of committed records stays open; what it must not get would come before what it must.
async function committedReader (client, topic) {
  return await client.reader(topic, fromAll(1, 'earliest'), { committed: true })
}

async function commit (client) {
  const topic = await made(client, 'commit')
  const producer = await client.producer({ transactional: unique('commit') })
  const reader = await committedReader(client, topic)
  await producer.begin()
  await producer.sendIn(topic, 0, asRecords(['a', 'b']))
  equal([], values(reader.records), 'values before the commit')
  await producer.commit()
  await eventually('both are read', () => reader.records.length === 2)
  equal(['a', 'b'], values(reader.records), 'values after the commit')
  await reader.close()
  await producer.close()
}

async function abort (client) {
  const topic = await made(client, 'abort')
  for (const number of [0, 1, 2]) {
    const producer = await client.producer({ transactional: unique('abort') })
    await producer.begin()
    await producer.sendIn(topic, 0, asRecords([`dropped ${number}`]))
    await producer.abort()
    await producer.begin()
    await producer.sendIn(topic, 0, asRecords([`kept ${number}`]))
    await producer.commit()
    await producer.close()
  }
  const reader = await committedReader(client, topic)
  await eventually('the last is read', () => reader.records.length >= 3)
  equal(['kept 0', 'kept 1', 'kept 2'], values(reader.records), 'values')
  await reader.close()
}

export const transactions = { 'transaction-commit': commit, 'transaction-abort': abort }
