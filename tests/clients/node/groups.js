// Members of a group share its partitions, and nothing is lost while they come and go.

import { asRecords, made, numbers, sendNumbers } from './reading.js'
import { equal, eventually, unique } from './suite.js'

const PARTITIONS = 6

// Every partition belongs to exactly one of the members, and each has its even part.
export function shared (partitions, ...members) {
  const all = new Set(members.flatMap((member) => member.owned))
  return all.size === partitions && members.every((member) => member.owned.length === partitions / members.length)
}

async function rebalance (client) {
  const topic = await made(client, 'group', PARTITIONS)
  const group = unique('group')
  const seen = new Set()
  let sent = 0
  let enough = false
  const producer = await client.producer()
  const load = (async () => {
    while (!enough) {
      for (let partition = 0; partition < PARTITIONS; partition++) {
        await producer.send(topic, partition, asRecords(numbers(sent, sent + 20)))
        sent += 20
      }
      await eventually('the members keep up', () => enough || sent - seen.size < 3000)
    }
  })()
  const join = () => client.member({ group, topic }, (records) => records.forEach((record) => seen.add(record.value.toString())))
  try {
    const first = await join()
    await eventually('one member owns all', () => shared(PARTITIONS, first))
    const second = await join()
    await eventually('two members share', () => shared(PARTITIONS, first, second))
    const third = await join()
    await eventually('three members share', () => shared(PARTITIONS, first, second, third))
    await first.close()
    await eventually('the two that stay share', () => shared(PARTITIONS, second, third))
    await second.close()
    await eventually('the last owns all', () => shared(PARTITIONS, third))
    enough = true
    await load
    await eventually('every record was seen', () => seen.size >= sent)
    await third.close()
  } finally {
    enough = true
  }
  await producer.close()
  equal(new Set(numbers(0, sent)), seen, 'records seen')
}

async function staticMember (client) {
  const topic = await made(client, 'static', 4)
  const group = unique('static')
  const seen = new Set()
  const join = (instance) => client.member({ group, topic, instance }, (records) => records.forEach((one) => seen.add(one.value.toString())))
  const one = await join('one')
  await eventually('one member owns all', () => shared(4, one))
  const two = await join('two')
  await eventually('both share', () => shared(4, one, two))
  const before = [...two.owned].sort()
  const changes = one.changes
  await two.close()
  const again = await join('two')
  await eventually('the member that came back owns its part', () => again.owned.length === 2)
  equal(before, [...again.owned].sort(), 'what the member has that came back')
  for (let partition = 0; partition < 4; partition++) await sendNumbers(client, topic, partition, partition + 1, partition)
  await eventually('both read on', () => seen.size === 4)
  equal(changes, one.changes, 'changes the other member saw')
  await one.close()
  await again.close()
}

export const groups = { 'group-rebalance': rebalance, 'static-member': staticMember }
