// The admin client: topics, configurations, groups, what a cluster tells of itself.

import { shared } from './groups.js'
import { made, numbers, readAll, sendNumbers, values } from './reading.js'
import { equal, eventually, isTrue, refused, unique } from './suite.js'

async function topics (client) {
  const topic = await made(client, 'topics', 3)
  await client.createPartitions(topic, 5)
  await eventually('five partitions', async () => (await client.topics()).get(topic) === 5)
  await sendNumbers(client, topic, 0, 1, 4)
  await client.deleteTopic(topic)
  await eventually('the topic is gone', async () => !(await client.topics()).has(topic))
}

async function configs (client) {
  const topic = await made(client, 'configs', 1, { 'retention.ms': '3600000' })
  const becomes = (key, value) => eventually(`${key} is ${value}`, async () => (await client.configs(topic))[key] === value)
  await becomes('retention.ms', '3600000')
  await becomes('max.message.bytes', '1048588')
  await client.setConfigs(topic, { 'segment.bytes': '2097152', 'retention.ms': '7200000' })
  await becomes('segment.bytes', '2097152')
  await becomes('retention.ms', '7200000')
}

async function deleteRecords (client) {
  const topic = await made(client, 'delete-records')
  await sendNumbers(client, topic, 0, 100)
  await client.deleteRecords(topic, 0, 30)
  equal(numbers(30, 100), values(await readAll(client, topic)), 'values left')
  await client.deleteRecords(topic, 0, -1)
  equal(100, await client.listOffset(topic, 0, 'earliest'), 'beginning after deleting all')
}

async function groups (client) {
  const topic = await made(client, 'groups', 2)
  const group = unique('groups')
  const member = await client.member({ group, topic, clientId: 'sealed' }, () => {})
  await eventually('the member owns all', () => shared(2, member))
  isTrue((await client.groups()).includes(group), 'the group is listed')
  const state = async () => JSON.stringify(await client.describeGroup(group))
  await eventually('stable', async () => (await state()) === '{"state":"Stable","clients":["sealed"]}')
  await refused(68, () => client.deleteGroup(group), 'deleting a group that is not empty')
  await member.close()
  await eventually('empty', async () => (await state()) === '{"state":"Empty","clients":[]}')
  await client.deleteGroup(group)
  await refused(69, () => client.deleteGroup(group), 'deleting a group that is gone')
}

async function groupOffsets (client) {
  const topic = await made(client, 'group-offsets', 2)
  const group = unique('group-offsets')
  await sendNumbers(client, topic, 0, 10)
  await client.alterGroupOffsets(group, topic, { 0: 7, 1: 0 })
  equal({ 0: 7, 1: 0 }, await client.groupOffsets(group, topic), 'offsets')
  const seen = new Set()
  const member = await client.member({ group, topic }, (records) => records.forEach((record) => seen.add(record.value.toString())))
  await eventually('three records', () => seen.size === 3)
  await member.close()
  equal(new Set(numbers(7, 10)), seen, 'values from the altered offset')
}

async function cluster (client) {
  const { controller, id, brokers } = await client.cluster()
  equal([[controller, process.env.BOOTSTRAP]], brokers, 'addresses')
  equal(22, id.length, 'length of the cluster id')
}

async function logDirs (client) {
  const topic = await made(client, 'log-dirs')
  await sendNumbers(client, topic, 0, 100)
  isTrue((await client.logDirSize(topic)) > 500, 'the replica has a size')
}

async function reassignments (client) {
  equal([], await client.reassignments(), 'reassignments')
}

export const admins = {
  'admin-topics': topics,
  'admin-configs': configs,
  'admin-delete-records': deleteRecords,
  'admin-groups': groups,
  'admin-group-offsets': groupOffsets,
  'admin-cluster': cluster,
  'admin-log-dirs': logDirs,
  'admin-reassignments': reassignments
}
