import { parentPort } from 'node:worker_threads'
import { requiredSigners } from '../../src/matrix/auth-rules/index.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import { parseEvent } from '../../src/matrix/event-format.ts'
import { hasValidContentHash } from '../../src/matrix/hashes.ts'
import type { RoomId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'
import { type RoomRules, roomRules } from '../../src/matrix/room-versions.ts'
import { senderKeyIdsOf, verifyEvent } from '../../src/matrix/signatures.ts'
import { parseJsonBytes } from '../../src/matrix/strict-json.ts'
import {
  type CheckedAs,
  keyName,
  type ReadAnswer,
  type ReadEvent,
  type ReadTask,
  type VerifyAnswer,
  type VerifyTask,
} from './check-tasks.ts'

/** Runs in a thread of its own: reads events, and checks their hashes and signatures with the keys that it is given. */

/** Keys of one server that are tried for one event. */
const mostKeys = 5

type Read = {
  readonly rules: RoomRules
  readonly events: readonly ({ event: RoomEvent; read: ReadEvent } | undefined)[]
}

const reading = new Map<number, Read>()

function read({ task, roomId, roomVersion, texts, ends }: ReadTask): ReadAnswer {
  const rules = roomRules(roomVersion)!
  const bytes = Buffer.from(texts.buffer, texts.byteOffset, texts.byteLength)
  const events = Array.from(ends, (end, index) => readOne(bytes.subarray(ends[index - 1] ?? 0, end), roomId, rules))
  reading.set(task, { rules, events })
  return { task, events: events.map((one) => one?.read) }
}

function readOne(bytes: Buffer, roomId: RoomId, rules: RoomRules): Read['events'][number] {
  let json: unknown
  try {
    json = parseJsonBytes(bytes, { integers: 'any' })
  } catch {
    return undefined
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined
  const parsed = parseEvent(json as JsonObject, rules)
  if ('error' in parsed || parsed.event.roomId !== roomId) return undefined
  const { event } = parsed
  const signers = requiredSigners(event, rules).map((server) => ({
    server,
    keyIds: senderKeyIdsOf(event.pdu, server).slice(0, mostKeys),
  }))
  const at = rules.enforceKeyValidity ? event.pdu.origin_server_ts : 0
  return { event, read: { eventId: event.eventId, at, signers } }
}

function verify({ task, keys }: VerifyTask): VerifyAnswer {
  const { rules, events } = reading.get(task)!
  reading.delete(task)
  const isSignedBy = (
    { event, read: { at } }: NonNullable<Read['events'][number]>,
    signer: ReadEvent['signers'][number],
  ) =>
    signer.keyIds.some((keyId) => {
      const key = keys.get(keyName(signer.server, keyId))
      return (
        key !== undefined && key.validUntil >= at && verifyEvent(event.pdu, signer.server, keyId, key.publicKey, rules)
      )
    })
  const checked = events.map((one): CheckedAs => {
    if (!one?.read.signers.every((signer) => isSignedBy(one, signer))) return 'bad'
    return hasValidContentHash(one.event.pdu) ? 'good' : 'changed'
  })
  return { task, checked }
}

parentPort!.on('message', (task: ReadTask | VerifyTask) => {
  parentPort!.postMessage('texts' in task ? read(task) : verify(task))
})
