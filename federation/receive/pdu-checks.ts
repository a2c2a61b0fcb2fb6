import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { knownEvent, type Pdu, type RoomEvent } from '../../src/matrix/event.ts'
import type { RoomId, ServerName } from '../../src/matrix/ids.ts'
import type { Json } from '../../src/matrix/json.ts'
import { redact } from '../../src/matrix/redaction.ts'
import type { RoomRules } from '../../src/matrix/room-versions.ts'
import { parseJsonBytes } from '../../src/matrix/strict-json.ts'
import { type Checker, checkPdus, isFederated } from './check-pdu.ts'
import {
  keyName,
  type ReadAnswer,
  type ReadEvent,
  type ReadTask,
  type VerifyAnswer,
  type VerifyTask,
} from './check-tasks.ts'

/**
 * Checks many events at a time as `checkPdu` does, in worker threads: the hashes and signatures of a large room take seconds, in
 * which everybody else would wait.
 */
export type PduChecks = {
  /** The good ones of some events, given as their texts, each with its number among them. */
  check(roomId: RoomId, rules: RoomRules, texts: readonly Buffer[]): Promise<{ index: number; event: RoomEvent }[]>
  close(): Promise<void>
}

/** Fewer are not worth the way to another thread. */
const fewEvents = 50
const mostWorkers = 4
/** Milliseconds after which a thread without work ends. */
const patience = 30_000

type Answer = ReadAnswer | VerifyAnswer
type Thread = {
  readonly worker: Worker
  readonly open: Map<number, { resolve(answer: Answer): void; reject(error: unknown): void }>
  idle: NodeJS.Timeout | undefined
}

export function createPduChecks(federation: Checker): PduChecks {
  const threads: Thread[] = []
  const most = Math.min(mostWorkers, Math.max(1, availableParallelism() - 1))
  let lastTask = 0

  const end = (thread: Thread): Promise<number> => {
    clearTimeout(thread.idle)
    const at = threads.indexOf(thread)
    if (at >= 0) threads.splice(at, 1)
    return thread.worker.terminate()
  }

  const start = (): Thread => {
    const worker = new Worker(new URL('./check-worker.ts', import.meta.url))
    worker.unref()
    const thread: Thread = { worker, open: new Map(), idle: undefined }
    const fail = (error: unknown): void => {
      void end(thread)
      for (const { reject } of thread.open.values()) reject(error)
      thread.open.clear()
    }
    worker.on('message', (answer: Answer) => {
      thread.open.get(answer.task)?.resolve(answer)
      thread.open.delete(answer.task)
    })
    worker.on('error', fail)
    worker.on('exit', () => fail(new Error('A thread that checks events has ended')))
    threads.push(thread)
    return thread
  }

  /** One that has nothing to do; else a new one, as long as there may be more; else the one with the least to do. */
  const pick = (): Thread => {
    const [least] = [...threads].sort((one, other) => one.open.size - other.open.size)
    const thread = least && (least.open.size === 0 || threads.length >= most) ? least : start()
    clearTimeout(thread.idle)
    return thread
  }

  const ask = <Kind extends Answer>(thread: Thread, task: ReadTask | VerifyTask, moved: ArrayBuffer[] = []) =>
    new Promise<Kind>((resolve, reject) => {
      thread.open.set(task.task, { resolve: resolve as (answer: Answer) => void, reject })
      thread.worker.postMessage(task, moved)
    })

  const inThread = async (
    roomId: RoomId,
    rules: RoomRules,
    texts: readonly Buffer[],
  ): Promise<{ index: number; event: RoomEvent }[]> => {
    const thread = pick()
    const task = ++lastTask
    // Copied, since what belongs to the connection cannot be given away.
    const joined = new Uint8Array(texts.reduce((sum, text) => sum + text.length, 0))
    const ends = new Uint32Array(texts.length)
    let at = 0
    for (const [index, text] of texts.entries()) {
      joined.set(text, at)
      at += text.length
      ends[index] = at
    }
    const reading = { task, roomId, roomVersion: rules.version, texts: joined, ends }
    const { events } = await ask<ReadAnswer>(thread, reading, [joined.buffer, ends.buffer])
    const keys = await findKeys(federation, events)
    const { checked } = await ask<VerifyAnswer>(thread, { task, keys })
    if (thread.open.size === 0) thread.idle = setTimeout(() => void end(thread), patience).unref()
    return checked.flatMap((as, index) => {
      if (as === 'bad') return []
      const json = rules.strictIntegers
        ? (JSON.parse(texts[index]!.toString()) as Json)
        : parseJsonBytes(texts[index]!, { integers: 'any' })
      const event = knownEvent(json as unknown as Pdu, events[index]!.eventId, rules)
      if (!isFederated(federation, event.pdu.sender)) return []
      return { index, event: as === 'good' ? event : { ...event, pdu: redact(event.pdu, rules) as Pdu } }
    })
  }

  return {
    async check(roomId, rules, texts) {
      if (texts.length >= fewEvents) return inThread(roomId, rules, texts)
      const checked = await Promise.all(
        texts.map(async (text, index) => {
          const [event] = await checkPdus(federation, parsed(text), roomId, rules)
          return event ? { index, event } : []
        }),
      )
      return checked.flat()
    },
    async close() {
      await Promise.all([...threads].map(end))
    },
  }
}

/** A list of what is no JSON is empty. */
function parsed(text: Buffer): Json[] {
  try {
    return [parseJsonBytes(text, { integers: 'any' })]
  } catch {
    return []
  }
}

/** The keys that some events say they were signed by, as far as they can be had: each as it was at the latest of them. */
async function findKeys(
  { keys }: Pick<Checker, 'keys'>,
  events: readonly (ReadEvent | undefined)[],
): Promise<VerifyTask['keys']> {
  const wanted = new Map<string, { server: ServerName; keyId: string; from: number; to: number }>()
  for (const one of events) {
    for (const { server, keyIds } of one?.signers ?? []) {
      for (const keyId of keyIds) {
        const name = keyName(server, keyId)
        const known = wanted.get(name) ?? { server, keyId, from: one!.at, to: one!.at }
        wanted.set(name, { ...known, from: Math.min(known.from, one!.at), to: Math.max(known.to, one!.at) })
      }
    }
  }
  const found = await Promise.all(
    [...wanted].map(async ([name, { server, keyId, from, to }]) => {
      const key = (await keys.find(server, keyId, to)) ?? (await keys.find(server, keyId, from))
      return key ? ([name, { publicKey: key.publicKey, validUntil: key.validUntil }] as const) : undefined
    }),
  )
  return new Map(found.filter((one) => one !== undefined))
}
