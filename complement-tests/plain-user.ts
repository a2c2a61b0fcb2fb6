import { expect } from 'vitest'
import { postJson } from './sdk-device.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers of any server are looked into as they come.
export type Answer = any

/** A user who speaks HTTP, on any server. */
export type PlainUser = {
  readonly userId: string
  readonly url: string
  readonly token: string
  /** Paths below `/_matrix/client/v3`, or whole ones. @throws Error with the answer of a request that failed. */
  ask(method: string, path: string, body?: object): Promise<Answer>
  send(roomId: string, type: string, content: object): Promise<string>
  say(roomId: string, body: string): Promise<string>
  setState(roomId: string, type: string, content: object, stateKey?: string): Promise<string>
  /** The first event of a room that holds, in what syncs tell from the beginning on. */
  sees(roomId: string, wanted: (event: Answer) => boolean): Promise<Answer>
  /** The first sync that holds. */
  synced<Found>(find: (sync: Answer) => Found | undefined): Promise<Found>
}

/** Milliseconds: a server that was away may have much to catch up on. */
const patience = 90_000
let transactions = 0

export async function registerPlain(url: string, name: string): Promise<PlainUser> {
  const session = await postJson(`${url}/_matrix/client/v3/register`, {
    username: name,
    password: `password of ${name}, long enough`,
    auth: { type: 'm.login.dummy' },
  })
  return plainUser(url, session.user_id, session.access_token)
}

function plainUser(url: string, userId: string, token: string): PlainUser {
  const ask = async (method: string, path: string, body?: object): Promise<Answer> => {
    const whole = path.startsWith('/_matrix') ? path : `/_matrix/client/v3${path}`
    const answer = await fetch(url + whole, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${userId} ${method} ${path}: ${answer.status} ${text}`)
    return JSON.parse(text)
  }
  const send = async (roomId: string, type: string, content: object): Promise<string> =>
    (await ask('PUT', `/rooms/${encodeURIComponent(roomId)}/send/${type}/t${transactions++}`, content)).event_id
  const synced = async <Found>(find: (sync: Answer) => Found | undefined): Promise<Found> => {
    const late = new Error(`${userId} was not told in time`)
    const deadline = Date.now() + patience
    for (let since = ''; Date.now() < deadline; ) {
      const sync = await ask('GET', `/sync?timeout=${since === '' ? 0 : 1000}${since}`)
      since = `&since=${encodeURIComponent(sync.next_batch)}`
      const found = find(sync)
      if (found !== undefined) return found
    }
    throw late
  }
  return {
    userId,
    url,
    token,
    ask,
    send,
    synced,
    say: (roomId, body) => send(roomId, 'm.room.message', { msgtype: 'm.text', body }),
    setState: async (roomId, type, content, stateKey = '') =>
      (await ask('PUT', `/rooms/${encodeURIComponent(roomId)}/state/${type}/${encodeURIComponent(stateKey)}`, content))
        .event_id,
    sees: (roomId, wanted) =>
      synced((sync) => {
        const { join = {}, leave = {} } = sync.rooms ?? {}
        const room = join[roomId] ?? leave[roomId]
        return [...(room?.state?.events ?? []), ...(room?.timeline?.events ?? [])].find(wanted)
      }),
  }
}

export const membershipOf =
  (userId: string, membership: string) =>
  (event: Answer): boolean =>
    event.type === 'm.room.member' && event.state_key === userId && event.content.membership === membership

/** @throws Error when the request is let through, or refused in another way. */
export async function refused(work: Promise<unknown>, status: number): Promise<void> {
  await expect(work).rejects.toThrow(`: ${status} `)
}
