import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Program, startProgram } from './program.ts'

/** What came out of killing a server over and over while a client wrote to it. */
export type KillReport = {
  readonly rounds: number
  readonly acknowledged: number
  /** Acknowledged, and not in the room afterwards. */
  readonly lost: number
  /** More than once in the room. */
  readonly twice: number
  /** Sync tokens that were refused, or led to something else than what followed them. */
  readonly badTokens: number
  /** Positions of the stream that were skipped: a message that sync did not tell. */
  readonly untold: number
}

type Json = { [key: string]: unknown }

const sendersPerRound = 8

/**
 * Kills the server (every third round PostgreSQL, every sixth both) with signal 9 while messages are sent, starts it again,
 * and at the end compares what was acknowledged with what is there.
 */
export async function killUnderLoad(rounds: number): Promise<KillReport> {
  await using program = await startProgram()
  const session = await request(program, 'POST', '/_matrix/client/v3/register', undefined, {
    username: 'alice',
    password: 'a password that is long enough',
    auth: { type: 'm.login.dummy' },
  })
  const token = session.access_token as string
  const room = (await request(program, 'POST', '/_matrix/client/v3/createRoom', token, {})).room_id as string
  const acknowledged = new Map<string, string>()
  let since = (await request(program, 'GET', '/_matrix/client/v3/sync', token)).next_batch as string
  const told = new Set<string>()
  let badTokens = 0

  for (let round = 0; round < rounds; round++) {
    const stop = new AbortController()
    const senders = Array.from({ length: sendersPerRound }, (_, index) =>
      sendUntil(program, token, room, `${round}-${index}`, acknowledged, stop.signal),
    )
    await new Promise((resolve) => setTimeout(resolve, 50 + ((round * 37) % 150)))
    if (round % 3 === 1) killPostgres(program)
    if (round % 3 !== 1 || round % 6 === 1) await program.kill()
    stop.abort()
    await Promise.all(senders)
    if (program.process.exitCode !== null || program.process.signalCode !== null) await program.restart()
    const answer = await syncSince(program, token, since, room)
    if (answer === undefined) badTokens++
    else {
      since = answer.next
      for (const eventId of answer.events) told.add(eventId)
    }
  }

  const present = await everything(program, token, room)
  const counts = new Map<string, number>()
  for (const eventId of present) counts.set(eventId, (counts.get(eventId) ?? 0) + 1)
  const bodies = new Map<string, number>()
  for (const eventId of acknowledged.values()) bodies.set(eventId, (bodies.get(eventId) ?? 0) + 1)
  return {
    rounds,
    acknowledged: acknowledged.size,
    lost: [...acknowledged.values()].filter((eventId) => !counts.has(eventId)).length,
    twice: [...counts.values(), ...bodies.values()].filter((count) => count > 1).length,
    badTokens,
    untold: [...acknowledged.values()].filter((eventId) => !told.has(eventId)).length,
  }
}

/** Sends one message after the other until told to stop or the server is gone; a lost answer is asked for again. */
async function sendUntil(
  program: Program,
  token: string,
  room: string,
  name: string,
  acknowledged: Map<string, string>,
  stop: AbortSignal,
): Promise<void> {
  for (let count = 0; !stop.aborted; count++) {
    const txnId = `${name}-${count}`
    const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/${txnId}`
    try {
      const answer = await request(program, 'PUT', path, token, { msgtype: 'm.text', body: txnId })
      acknowledged.set(txnId, answer.event_id as string)
    } catch {
      return
    }
  }
}

function killPostgres(program: Program): void {
  const pidFile = join(program.dataDir, 'postgres', 'data', 'postmaster.pid')
  process.kill(Number(readFileSync(pidFile, 'utf8').split('\n')[0]), 'SIGKILL')
}

async function syncSince(
  program: Program,
  token: string,
  since: string,
  room: string,
): Promise<{ next: string; events: string[] } | undefined> {
  const filter = encodeURIComponent(JSON.stringify({ room: { timeline: { limit: 100 } } }))
  const path = `/_matrix/client/v3/sync?since=${since}&filter=${filter}`
  const answer = await patiently(() => request(program, 'GET', path, token)).catch(() => undefined)
  if (!answer) return undefined
  const joined = (answer.rooms as { join?: { [room: string]: { timeline: Timeline } } } | undefined)?.join
  const timeline = joined?.[room]?.timeline
  const events = timeline?.events.map((event) => event.event_id) ?? []
  // What the gap left out is fetched as a client would.
  if (timeline?.limited) {
    const from = timeline.prev_batch
    for (let at: string | undefined = from; at; ) {
      const page = await pageOf(program, token, room, at, 'b', since)
      events.push(...page.events)
      at = page.end
    }
  }
  return { next: answer.next_batch as string, events }
}

type Timeline = { events: { event_id: string }[]; limited: boolean; prev_batch: string }

async function pageOf(
  program: Program,
  token: string,
  room: string,
  from: string,
  dir: 'b' | 'f',
  to?: string,
): Promise<{ events: string[]; end: string | undefined }> {
  const end = to === undefined ? '' : `&to=${to}`
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/messages?dir=${dir}&limit=1000&from=${from}${end}`
  const page = await patiently(() => request(program, 'GET', path, token))
  const events = (page.chunk as { event_id: string }[]).map((event) => event.event_id)
  return { events, end: page.end as string | undefined }
}

async function everything(program: Program, token: string, room: string): Promise<string[]> {
  const events: string[] = []
  for (let from: string | undefined = 't0'; from; ) {
    const page = await pageOf(program, token, room, from, 'f')
    events.push(...page.events)
    from = page.end
  }
  return events
}

/** PostgreSQL needs a moment to come back; a client would ask again too. */
async function patiently(ask: () => Promise<Json>): Promise<Json> {
  const deadline = performance.now() + 20_000
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (performance.now() > deadline || (error as { status?: number }).status === 400) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

async function request(program: Program, method: string, path: string, token?: string, body?: Json): Promise<Json> {
  const answer = await fetch(program.url + path, {
    method,
    headers: {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(15_000),
  })
  const json = (await answer.json()) as Json
  if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${answer.status}`), { status: answer.status })
  return json
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { rounds: { type: 'string', default: '300' } } })
  console.log(await killUnderLoad(Number(values.rounds)))
}
