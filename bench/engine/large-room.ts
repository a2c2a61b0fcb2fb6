import { createAccount } from '../../src/accounts/create-account.ts'
import type { Context } from '../../src/context.ts'
import type { RoomId, UserId } from '../../src/matrix/ids.ts'
import { createRoomAsAsked } from '../../src/rooms/create-room-as-asked.ts'
import { joinRoom } from '../../src/rooms/join-room.ts'
import { sendEvent } from '../../src/rooms/send-event.ts'
import { compileFilter } from '../../src/sync/filter.ts'
import { waitForSync } from '../../src/sync/wait-for-sync.ts'
import { latenciesOf } from '../measure.ts'
import { openBench } from './deployment.ts'

/**
 * What a room of 10 and one of 10,000 local members cost, through the engine without HTTP: joining, sending, and an
 * incremental sync of one message. Statements and rows are counted beside the time.
 *
 *   node bench/engine/large-room.ts [MEMBERS]
 */
const large = Number(process.argv[2] ?? 10_000)
const { ctx, close } = await openBench('large-room')

async function account(name: string): Promise<{ userId: UserId; userNid: number }> {
  const userId: UserId = `@${name}:bench.test`
  const { userNid } = await createAccount(ctx, { userId } as never)
  return { userId, userNid }
}

async function roomOf(members: number, name: string): Promise<RoomId> {
  const owner = await account(`${name}-owner`)
  const requester = { ...owner, domain: 'bench.test', isAdmin: false } as never
  const roomId = await createRoomAsAsked(ctx, requester, { preset: 'public_chat' })
  const started = performance.now()
  for (let first = 1; first < members; first += 200) {
    const names = Array.from({ length: Math.min(200, members - first) }, (_, index) => `${name}-${first + index}`)
    const users = await Promise.all(names.map(account))
    await Promise.all(users.map((user) => joinRoom(ctx, roomId, user.userId)))
  }
  const seconds = (performance.now() - started) / 1000
  console.log(`${members} members: made in ${seconds.toFixed(1)} s, accounts and joins`)
  return roomId
}

async function measure(label: string, rounds: number, work: (round: number) => Promise<void>): Promise<void> {
  await work(-1)
  await work(-2)
  const { statements, rows } = ctx.database.cost
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = performance.now()
    await work(round)
    samples.push(performance.now() - started)
  }
  const each = (total: number): string => (total / rounds).toFixed(1)
  const { p50, p99 } = latenciesOf(samples)
  console.log(
    `  ${label}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms; ${each(ctx.database.cost.statements - statements)} statements, ${each(ctx.database.cost.rows - rows)} rows read`,
  )
}

async function compare(ctx: Context, roomId: RoomId, name: string): Promise<void> {
  const owner: UserId = `@${name}-owner:bench.test`
  const reader = await account(`${name}-reader`)
  await joinRoom(ctx, roomId, reader.userId)
  const device = { ...reader, deviceId: 'BENCH', domain: 'bench.test' }
  const newcomers: UserId[] = []
  for (let index = 0; index < 52; index++) newcomers.push((await account(`${name}-new-${index}`)).userId)
  await measure('send', 200, async (round) => {
    const content = { msgtype: 'm.text', body: `message ${round}` }
    await sendEvent(ctx, roomId, { type: 'm.room.message', sender: owner, content })
  })
  let next = 0
  await measure('join', 50, async () => {
    await joinRoom(ctx, roomId, newcomers[next++]!)
  })
  const request = { reader: device, filter: compileFilter({}), fullState: false, stateStyle: 'state' as const }
  const gone = new AbortController().signal
  const first = JSON.parse((await waitForSync(ctx, { ...request, since: undefined }, 0, gone)).join(''))
  let since: string = first.next_batch
  const { parseSyncToken } = await import('../../src/sync/token.ts')
  await measure('send and sync it', 100, async (round) => {
    const content = { msgtype: 'm.text', body: `for sync ${round}` }
    await sendEvent(ctx, roomId, { type: 'm.room.message', sender: owner, content })
    const answer = await waitForSync(ctx, { ...request, since: parseSyncToken(since) }, 1000, gone)
    since = JSON.parse(answer.join('')).next_batch
  })
}

try {
  for (const [members, name] of [
    [10, 'small'],
    [large, 'large'],
  ] as const) {
    const roomId = await roomOf(members, name)
    await compare(ctx, roomId, name)
  }
} finally {
  await close()
}
