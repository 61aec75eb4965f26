// The promises through Node's clients: kafkajs and @platformatic/kafka.
//
// Each promise is written once, in the words of the adapters; an adapter says what its client cannot do.

import { admins } from './admins.js'
import { Kafkajs } from './adapters/kafkajs.js'
import { Platformatic } from './adapters/platformatic.js'
import { durability } from './durability.js'
import { errors } from './errors.js'
import { groups } from './groups.js'
import { offsets } from './offsets.js'
import { records } from './records.js'
import { Suite } from './suite.js'
import { text } from './text.js'
import { transactions } from './transactions.js'

const promises = { ...records, ...durability, ...groups, ...offsets, ...admins, ...errors, ...text, ...transactions }

// A client's task that nobody waits for may fail late; the promise at hand tells by what it waits for.
process.on('unhandledRejection', (error) => console.error('nobody waited for:', error))

for (const adapter of [Kafkajs, Platformatic]) {
  const client = new adapter(process.env.BOOTSTRAP)
  const suite = new Suite(client)
  for (const [name, check] of Object.entries(promises)) {
    await suite.promise(name, check, name in transactions ? 'transactions' : undefined)
  }
  await client.close()
}

// Said to a second client that has no part in this run: it installs by building librdkafka or fetching a binary of its own.
new Suite({ name: 'confluent-javascript', lacks: {} }).skip(
  'all',
  'its install downloads a binary or builds librdkafka, which Python and Rust exercise'
)
process.exit(0)
