// Runs promises one after the other and says on standard output how each ended; see harness/suite.py for the form.

import { randomBytes } from 'node:crypto'
import { isDeepStrictEqual, inspect } from 'node:util'

const PATIENCE = 60_000
export const quick = Boolean(process.env.QUICK)

export class Suite {
  constructor (client) {
    this.client = client
    this.match = new RegExp(process.env.MATCH ?? '')
    this.done = (process.env.DONE ?? '').split(',')
    this.capabilities = (process.env.CAPABILITIES ?? '').split(',')
  }

  async promise (name, check, needs) {
    if (this.client.lacks[name]) return this.skip(name, this.client.lacks[name])
    if (needs && !this.capabilities.includes(needs)) return this.skip(name, `the broker lacks ${needs}`)
    if (!this.#wanted(name)) return
    this.#say('start', name)
    try {
      await check(this.client)
      this.#say('pass', name)
    } catch (error) {
      console.error(inspect(error, { depth: 10 }))
      this.#say('fail', name, `${told(error)} (${place(error)})`)
    }
  }

  skip (name, why) {
    if (this.#wanted(name)) this.#say('skip', name, why)
  }

  #wanted (name) {
    return this.match.test(`${this.client.name} ${name}`) && !this.done.includes(`${this.client.name}/${name}`)
  }

  #say (verdict, name, note) {
    const words = [`::${verdict}`, this.client.name, name]
    if (note) words.push(note.replace(/\s+/g, ' '))
    process.stdout.write(words.join('\t') + '\n')
  }
}

// An error with what it was caused by, from the outside in: clients wrap what the broker answered.
function told (error) {
  const causes = [...(error?.errors ?? []), error?.cause].filter(Boolean).map(told)
  const own = error instanceof Error ? `${error.name}: ${error.message}` : brief(error)
  return causes.length ? `${own} [${[...new Set(causes)].join('; ')}]` : own
}

function place (error) {
  const line = (error.stack ?? '').split('\n').find((line) => line.includes('/node/') && !/suite\.js|node_modules/.test(line))
  return line?.match(/([\w.]+:\d+):\d+/)?.[1] ?? '?'
}

export function isTrue (truth, what) {
  if (!truth) throw new Error(what)
}

export function equal (expected, got, what) {
  isTrue(isDeepStrictEqual(expected, got), `${what}: expected ${brief(expected)}, got ${brief(got)}`)
}

// Holds a call to being refused with Kafka's error code; the clients put it at different places.
export async function refused (code, call, what) {
  let answer
  try {
    answer = await call()
  } catch (error) {
    equal(code, codes(error)[0], `${what} (${error.message})`)
    return
  }
  throw new Error(`${what} was not refused: ${brief(answer)}`)
}

// Kafka's error codes in an error of either client, from the outside in.
export function codes (error) {
  if (!error || typeof error !== 'object') return []
  const own = [error.code, error.apiCode].filter((code) => Number.isInteger(code))
  const inner = [...(error.errors ?? []), error.cause].flatMap((one) => codes(one))
  return [...own, ...inner]
}

// Waits for a condition, looking every few milliseconds.
export async function eventually (what, condition, limit = PATIENCE) {
  const deadline = Date.now() + limit
  while (!(await condition())) {
    isTrue(Date.now() < deadline, `not within ${limit / 1000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export function unique (stem) {
  return `${stem}-${randomBytes(4).toString('hex')}`
}

// restart, stop, start or kill9; returns when it is done and, if started, the broker answers.
export async function control (verb) {
  const answer = await fetch(`${process.env.BROKER_CONTROL}/${verb}`, { method: 'POST' })
  isTrue(answer.ok, `broker control ${verb}: ${await answer.text()}`)
}

function brief (value) {
  const text = inspect(value, { depth: 4, breakLength: Infinity, maxArrayLength: 20 })
  return text.length > 300 ? text.slice(0, 300) + '…' : text
}
