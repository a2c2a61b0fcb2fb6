import type { RoomId } from '../src/matrix/ids.ts'
import type { Answer, TestClient } from '../src/testing/test-client.ts'
import { type FederatedServerOptions, startFederatedServer } from './federated-server.fixtures.ts'

/** Syncs until what is looked for is there, and fails by the test's own time limit. */
export async function synced<Found>(client: TestClient, find: (sync: Answer) => Found | undefined): Promise<Found> {
  for (let since: string | undefined; ; ) {
    const sync = await client.sync({ timeout: 1000, ...(since !== undefined && { since }) })
    const found = find(sync)
    if (found !== undefined) return found
    since = sync.next_batch
  }
}

export function invited(client: TestClient, room: RoomId): Promise<Answer[]> {
  return synced(client, (sync) => sync.rooms?.invite?.[room]?.invite_state?.events)
}

export function knocked(client: TestClient, room: RoomId): Promise<Answer[]> {
  return synced(client, (sync) => sync.rooms?.knock?.[room]?.knock_state?.events)
}

/** The membership of another user as a member of the room sees it. */
export function seesMembership(client: TestClient, room: RoomId, userId: string, membership: string): Promise<Answer> {
  return synced(client, (sync) => {
    const joined = sync.rooms?.join?.[room]
    const events: Answer[] = [...(joined?.state?.events ?? []), ...(joined?.timeline?.events ?? [])]
    return events.find(
      ({ type, state_key: key, content }) =>
        type === 'm.room.member' && key === userId && content.membership === membership,
    )
  })
}

export function sees(client: TestClient, room: RoomId, body: string): Promise<Answer> {
  return synced(client, (sync) =>
    (sync.rooms?.join?.[room]?.timeline?.events ?? []).find((event: Answer) => event.content.body === body),
  )
}

export function leftBy(client: TestClient, room: RoomId, since: string): Promise<Answer> {
  return (async () => {
    for (let token = since; ; ) {
      const sync = await client.sync({ timeout: 1000, since: token })
      const left = sync.rooms?.leave?.[room]
      if (left) return left
      token = sync.next_batch
    }
  })()
}

export async function pair(federation: object = {}, options: FederatedServerOptions = {}) {
  const one = await startFederatedServer(federation, options)
  const other = await startFederatedServer(federation, options)
  const [alice, bob] = [await one.register('alice'), await other.register('bob')]
  return {
    one,
    other,
    alice,
    bob,
    async [Symbol.asyncDispose]() {
      await one[Symbol.asyncDispose]()
      await other[Symbol.asyncDispose]()
    },
  }
}

export const via = (server: { ctx: { domains: { default: string } } }) => encodeURIComponent(server.ctx.domains.default)
