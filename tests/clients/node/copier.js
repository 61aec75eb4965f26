// Copies SOURCE to TARGET in transactions, with kafkajs, until it is killed; see loop/main.py.

import { createRequire } from 'node:module'

const { Kafka, logLevel } = createRequire(import.meta.url)('kafkajs')
const { BOOTSTRAP, GROUP, SOURCE, TARGET, TRANSACTIONAL_ID } = process.env

const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 100 }
const kafka = new Kafka({ clientId: 'copier', brokers: [BOOTSTRAP], logLevel: logLevel.ERROR, retry })
const producer = kafka.producer({
  transactionalId: TRANSACTIONAL_ID, idempotent: true, maxInFlightRequests: 1, transactionTimeout: 20000
})
const consumer = kafka.consumer({ groupId: GROUP, sessionTimeout: 6000, maxBytesPerPartition: 4096 })

function end (error) {
  console.error(error)
  process.exit(1)
}

async function copy ({ batch }) {
  const partition = batch.partition
  const transaction = await producer.transaction()
  await transaction.send({ topic: TARGET, messages: batch.messages.map(({ value }) => ({ value, partition })) })
  const offset = String(BigInt(batch.lastOffset()) + 1n)
  await transaction.sendOffsets({ consumerGroupId: GROUP, topics: [{ topic: SOURCE, partitions: [{ partition, offset }] }] })
  await transaction.commit()
}

consumer.on(consumer.events.CRASH, ({ payload }) => end(payload.error))
try {
  await producer.connect()
  await consumer.connect()
  await consumer.subscribe({ topic: SOURCE, fromBeginning: true })
  await consumer.run({ autoCommit: false, eachBatch: (given) => copy(given).catch(end) })
} catch (error) {
  end(error)
}
