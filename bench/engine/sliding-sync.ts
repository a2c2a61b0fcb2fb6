import { createAccount } from '../../src/accounts/create-account.ts'
import type { RoomId, UserId } from '../../src/matrix/ids.ts'
import { createRoomAsAsked } from '../../src/rooms/create-room-as-asked.ts'
import { sendEvent } from '../../src/rooms/send-event.ts'
import { answerSliding } from '../../src/sync/sliding/answer.ts'
import type { SlidingRequest } from '../../src/sync/sliding/request.ts'
import { requiredStateOfPairs } from '../../src/sync/sliding/required-state.ts'
import { unstableForm } from '../../src/sync/sliding/unstable-form.ts'
import { formatSyncToken } from '../../src/sync/token.ts'
import { latenciesOf } from '../measure.ts'
import { openBench } from './deployment.ts'

/**
 * What sliding sync costs a user with 50 and one with 5,000 rooms, through the engine without HTTP: a first window of 20
 * rooms, and an increment of one event. Statements and rows are counted beside the time.
 *
 *   node bench/engine/sliding-sync.ts [ROOMS]
 */
const large = Number(process.argv[2] ?? 5000)
const { ctx, close } = await openBench('sliding-sync', { CHAPPE_LOG_LEVEL: 'fatal' })
const never = new AbortController().signal

async function measure(label: string, rounds: number, work: (round: number) => Promise<unknown>): Promise<void> {
  const { statements, rows } = ctx.database.cost
  const cpu = process.cpuUsage()
  const samples: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = performance.now()
    await work(round)
    samples.push(performance.now() - started)
  }
  const { user, system } = process.cpuUsage(cpu)
  const each = (total: number): string => (total / rounds).toFixed(1)
  const { p50, p99 } = latenciesOf(samples)
  console.log(
    `  ${label}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, CPU ${each((user + system) / 1000)} ms; ${each(ctx.database.cost.statements - statements)} statements, ${each(ctx.database.cost.rows - rows)} rows`,
  )
}

async function compare(count: number): Promise<void> {
  const userId: UserId = `@owner-${count}:bench.test`
  const { userNid } = await createAccount(ctx, { userId } as never)
  const requester = { userId, userNid, domain: 'bench.test', isAdmin: false } as never
  const rooms: RoomId[] = []
  for (let first = 0; first < count; first += 50) {
    const made = Array.from({ length: Math.min(50, count - first) }, (_, index) =>
      createRoomAsAsked(ctx, requester, { name: `Room ${first + index}` }),
    )
    rooms.push(...(await Promise.all(made)))
  }
  await ctx.database.db
    .insertInto('devices')
    .values({
      user_nid: userNid,
      device_id: 'BENCH',
      display_name: null,
      created_at: 0,
      last_seen_at: null,
      last_seen_ip: null,
      last_seen_agent: null,
    })
    .execute()
  const required = requiredStateOfPairs(
    [
      ['m.room.encryption', ''],
      ['m.room.topic', ''],
      ['m.room.member', '$LAZY'],
      ['m.room.member', '$ME'],
    ],
    userId,
  )
  const request = (pos: string | undefined, connId = ''): SlidingRequest => ({
    reader: { userId, userNid, deviceId: 'BENCH', domain: 'bench.test' },
    connId,
    pos,
    lists: new Map([
      ['all', { timelineLimit: 1, required, ranges: [[0, 19]], filters: { not_room_types: ['m.space'] } }],
    ]),
    subscriptions: new Map(),
    extensions: { account_data: { enabled: true }, receipts: { enabled: true }, typing: { enabled: true } },
  })
  const ask = async (pos: string | undefined, connId?: string): Promise<string> => {
    const answer = await answerSliding(ctx, request(pos, connId), 0, never)
    unstableForm(answer)
    return formatSyncToken(answer.token)
  }
  console.log(`${count} rooms`)
  await measure('first window of a session', 1, () => ask(undefined))
  await measure('first window', 200, (round) => ask(undefined, `c${round % 4}`))
  let pos = await ask(undefined)
  await measure('nothing new', 1000, () => ask(pos))
  const send = (room: RoomId, body: string) =>
    sendEvent(ctx, room, { type: 'm.room.message', sender: userId, content: { msgtype: 'm.text', body } } as never)
  const increments: number[] = []
  const { statements, rows } = ctx.database.cost
  for (let round = 0; round < 200; round++) {
    await send(rooms[round % 10]!, `message ${round}`)
    const started = performance.now()
    pos = await ask(pos)
    increments.push(performance.now() - started)
  }
  const { p50, p99 } = latenciesOf(increments)
  console.log(
    `  one event: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms; with sending ${((ctx.database.cost.statements - statements) / 200).toFixed(1)} statements, ${((ctx.database.cost.rows - rows) / 200).toFixed(1)} rows`,
  )
}

await compare(50)
await compare(large)
await close()
