import { knownEvent, type Pdu, type RoomEvent } from '../../src/matrix/event.ts'
import type { RoomId, ServerName } from '../../src/matrix/ids.ts'
import type { Json } from '../../src/matrix/json.ts'
import { redact } from '../../src/matrix/redaction.ts'
import type { RoomRules } from '../../src/matrix/room-versions.ts'
import { parseJsonBytes } from '../../src/matrix/strict-json.ts'
import { createThreadPool } from '../../src/thread-pool.ts'
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

export function createPduChecks(federation: Checker): PduChecks {
  const threads = createThreadPool<ReadTask | VerifyTask, ReadAnswer | VerifyAnswer>(
    new URL('./check-worker.ts', import.meta.url),
  )

  const inThread = async (
    roomId: RoomId,
    rules: RoomRules,
    texts: readonly Buffer[],
  ): Promise<{ index: number; event: RoomEvent }[]> => {
    const thread = threads.pick()
    const task = thread.newTask()
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
    const { events } = (await thread.ask(reading, [joined.buffer, ends.buffer])) as ReadAnswer
    const keys = await findKeys(federation, events)
    const { checked } = (await thread.ask({ task, keys })) as VerifyAnswer
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
    close: () => threads.close(),
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
