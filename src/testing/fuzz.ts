import { configSchema } from '../config-schema.ts'
import { answerProblem } from './openapi.ts'
import { createRequestFuzz, type FuzzedRequest, type Route } from './request-fuzz.ts'
import type { Known } from './schema-fuzz.ts'
import { sendRequest, TestClient } from './test-client.ts'

export type FuzzOptions = {
  readonly url: string
  readonly routes: readonly Route[]
  readonly seed: number
  /** The first turn; with the seed it names a request. */
  readonly from?: number
  readonly cases: number
  /** Called after each, with the number of those that are done. */
  onProgress?(done: number): void
}

export type FuzzOutcome = {
  readonly failures: readonly string[]
  /** How many answers had which status. */
  readonly statuses: ReadonlyMap<number, number>
  /** The longest time to an answer, in milliseconds, and for what. */
  readonly slowest: { readonly milliseconds: number; readonly request: string }
}

/** Every operation is served: those that are on their way into the specification too. */
export const everySwitch = Object.keys(configSchema.properties.experimental.properties)

/** Longer than anything may take on a machine that has other things to do as well. */
const patience = 15_000
const together = 4
/** After so many an actor has left, banned and changed what there was to leave, ban and change. */
const casesPerActor = 400

/**
 * Sends requests that nobody should send, and holds each answer to the specification: an internal error, silence and an
 * answer of another shape are failures.
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzOutcome> {
  const { url, routes, seed, from = 0, cases } = options
  const requestAt = createRequestFuzz(routes, seed)
  const failures: string[] = []
  const statuses = new Map<number, number>()
  let slowest = { milliseconds: 0, request: '' }
  let turn = from
  let actors = 0
  const newActor = (): Promise<Actor> => createActor(url, `fuzz${seed}-${from}-${actors++}`)
  const work = async (): Promise<void> => {
    let actor = await newActor()
    for (let count = 1; turn < from + cases; count++) {
      const current = turn++
      if (count % casesPerActor === 0) actor = await newActor()
      let request = requestAt(current, actor.known)
      let sent = await send(url, actor.token, request)
      if (sent.isSignedOut) {
        actor = await newActor()
        request = requestAt(current, actor.known)
        sent = await send(url, actor.token, request)
      }
      const { status, problem, milliseconds } = sent
      const label = `turn ${current}: ${labelOf(request)}`
      if (milliseconds > slowest.milliseconds) slowest = { milliseconds, request: label }
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (problem !== undefined) failures.push(`${label} → ${problem}`)
      options.onProgress?.(current - from + 1)
    }
  }
  await Promise.all(Array.from({ length: together }, work))
  return { failures, statuses, slowest }
}

type Sent = {
  readonly status: number
  readonly problem: string | undefined
  readonly isSignedOut: boolean
  readonly milliseconds: number
}

async function send(url: string, token: string, request: FuzzedRequest): Promise<Sent> {
  const started = performance.now()
  try {
    const { status, problem, text } = await answerTo(url, token, request)
    const isSignedOut = status === 401 && /"M_(UNKNOWN_TOKEN|USER_DEACTIVATED)"/.test(text)
    return {
      status,
      problem: problem && `${problem}: ${text.slice(0, 300)}`,
      isSignedOut,
      milliseconds: performance.now() - started,
    }
  } catch (error) {
    const milliseconds = performance.now() - started
    const { code } = ((error as Error).cause ?? {}) as { code?: string }
    const problem = isCutOff(request, code) ? undefined : `${error} ${code ?? ''}`
    return { status: 0, problem, isSignedOut: false, milliseconds }
  }
}

/** What is too large is refused before it is read; a client that goes on sending can lose the answer with the connection. */
function isCutOff({ body }: FuzzedRequest, code: string | undefined): boolean {
  return (body?.length ?? 0) > 60_000 && ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes(code ?? '')
}

type Answered = { readonly status: number; readonly problem: string | undefined; readonly text: string }

async function answerTo(url: string, token: string, request: FuzzedRequest): Promise<Answered> {
  const { method, target, body, contentType } = request
  const response = await fetch(url + target, {
    method: method.toUpperCase(),
    headers: { authorization: `Bearer ${token}`, ...(contentType && { 'content-type': contentType }) },
    ...(body !== undefined && { body: new Uint8Array(body) }),
    signal: AbortSignal.timeout(patience),
    redirect: 'manual',
  })
  const { status } = response
  const text = await response.text()
  if (status >= 500) return { status, problem: 'an internal error', text }
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  const problem = isJson ? await answerProblem(method, target.split('?')[0]!, status, JSON.parse(text)) : undefined
  return { status, problem, text }
}

function labelOf({ method, target, body }: FuzzedRequest): string {
  return `${method} ${target.slice(0, 200)} ${body?.subarray(0, 300).toString('utf8') ?? ''}`
}

type Actor = { readonly token: string; readonly known: Known }

/** A user with a room, an event, a backup, a device and what else a request can be about. */
async function createActor(url: string, name: string): Promise<Actor> {
  const register = { username: name, password: 'password of the fuzz', auth: { type: 'm.login.dummy' } }
  const { body: session } = await sendRequest(url, 'post', '/_matrix/client/v3/register', { body: register })
  const client = new TestClient(url, session)
  const alias = `#${name}:${session.user_id.split(':').slice(1).join(':')}`
  const room = await client.createRoom({ preset: 'public_chat', room_alias_name: name })
  const { event_id: event } = await client.send(room, 'm.room.message', { msgtype: 'm.text', body: 'hello' })
  const { version } = await client.post('/room_keys/version', {
    algorithm: 'm.megolm_backup.v1.curve25519-aes-sha2',
    auth_data: { public_key: 'key' },
  })
  const { filter_id: filter } = await client.post(`/user/${encodeURIComponent(client.userId)}/filter`, {})
  const names: readonly (readonly [string, readonly string[]])[] = [
    [room, ['roomId', 'roomIdOrAlias', 'room_id']],
    [client.userId, ['userId', 'user_id', 'user', 'mxid']],
    [event, ['eventId', 'event_id', 'm.fully_read', 'm.read']],
    [client.deviceId, ['deviceId', 'device_id']],
    [alias, ['roomAlias', 'room_alias']],
    ['m.room.message', ['eventType', 'type', 'event_type']],
    ['m.annotation', ['relType', 'rel_type']],
    ['', ['stateKey', 'state_key']],
    ['displayname', ['keyName']],
    ['u.test', ['tag']],
    ['m.read', ['receiptType']],
    ['override', ['kind']],
    ['.m.rule.master', ['ruleId']],
    [String(filter), ['filterId', 'filter']],
    [String(version), ['version']],
    ['session', ['sessionId', 'session_id']],
    [session.user_id.split(':').slice(1).join(':'), ['serverName', 'server_name']],
    ['password of the fuzz', ['password']],
  ]
  const known = new Map(names.flatMap(([value, keys]) => keys.map((key) => [key, value] as const)))
  return { token: client.accessToken, known }
}
