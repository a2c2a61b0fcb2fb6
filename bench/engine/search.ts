import { createAccount } from '../../src/accounts/create-account.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { createRoomAsAsked } from '../../src/rooms/create-room-as-asked.ts'
import { searchMessages } from '../../src/search/search-messages.ts'
import { compileEventFilter } from '../../src/sync/filter.ts'
import { cpuSeconds, latenciesOf } from '../measure.ts'
import { openBench } from './deployment.ts'

/**
 * What a search in messages takes among many, through the engine without HTTP: of a user in 200 rooms of 1,000, with words that
 * are in every second message, in one of a hundred, and in a few.
 *
 *   node bench/engine/search.ts [MESSAGES]
 */
const messages = Number(process.argv[2] ?? 1_000_000)
const [rooms, own, rounds] = [1000, 200, 10]

const { ctx, close } = await openBench('search')

/** Rooms are copies of one room of the searcher's, and messages copies of one event. */
async function fill(searcher: number, room: number): Promise<void> {
  const insertEvents = `insert into events (event_nid, room, timeline, event_id, kind, sender, depth, origin_server_ts,
    flags, notify_index, highlight_index, content)`
  await ctx.database.transaction(async (query) => {
    await query(`insert into event_kinds (type) values ('m.room.message') on conflict do nothing`, [])
    await query(
      `insert into rooms (room_id, room_version) select '!' || lpad(i::text, 43, '0'), '12' from generate_series(1, $1::int) i`,
      [rooms],
    )
    await query(
      `insert into events (event_nid, room, event_id, kind, sender, depth, origin_server_ts, flags, notify_index,
         highlight_index, content)
       select r.room * 100 + e.event_nid, r.room, sha256((r.room || ' ' || e.event_nid)::bytea), e.kind, e.sender, e.depth,
         e.origin_server_ts, e.flags, 0, 0, e.content
       from rooms r, events e where r.room > $1::int and e.room = $1 and e.flags & 1 = 1`,
      [room],
    )
    await query(
      `insert into room_state (room, kind, is_member, from_position, event_nid)
       select r.room, s.kind, s.is_member, s.from_position, r.room * 100 + s.event_nid from rooms r, room_state s
       where r.room > $1::int and s.room = $1`,
      [room],
    )
    await query(
      `insert into room_users (user_nid, room, membership, event_nid, since)
       select $1::int, room, 1, 0, 0 from rooms where room > $2::int and room <= $2 + $3::int`,
      [searcher, room, own],
    )
    await query(
      `${insertEvents} select 1000000 + i, $2::int + 1 + i % $3::int, 1000000 + i, sha256(i::text::bytea),
         (select kind from event_kinds where type = 'm.room.message'), $4::int, 1, i, 0, 0, 0,
         '{"msgtype":"m.text","body":"message"}' from generate_series(1, $1::int) i`,
      [messages, room, rooms, searcher],
    )
    await query(
      `insert into searchable_events (event_nid, room, key, sender, timeline, origin_server_ts, words)
       select event_nid, room, 1, sender, timeline, origin_server_ts, (format('''!%s'' ''word%s'':1 ''any%s'':2 ''rare%s'':3 ''say%s'':4', room, event_nid % 997,
         event_nid % 2, event_nid / 5, event_nid / 7 % 100))::tsvector
       from events where event_nid > 1000000`,
      [],
    )
    await query('update stream set position = 10000000', [])
  })
  for (const table of ['events', 'searchable_events', 'rooms', 'room_users', 'room_state']) {
    await ctx.database.db.executeQuery({ sql: `vacuum analyze ${table}`, parameters: [] } as never)
  }
}

type Searcher = { userId: UserId; userNid: number; deviceId: undefined }

async function measure(searcher: Searcher, term: string, byRank: boolean): Promise<void> {
  const samples: number[] = []
  let [found, cpu] = [0, 0]
  for (let round = -2; round < rounds; round++) {
    if (round === 0) cpu = cpuSeconds([process.pid])
    const started = performance.now()
    const search = { term, keys: ['content.body'], byRank, filter: compileEventFilter(), from: undefined } as const
    found = (await searchMessages(ctx, searcher, search)).total
    if (round >= 0) samples.push(performance.now() - started)
  }
  const cpuEach = ((cpuSeconds([process.pid]) - cpu) * 1000) / rounds
  const { p50, p99 } = latenciesOf(samples)
  const times = `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, CPU ${cpuEach.toFixed(1)} ms`
  console.log(`  "${term}" by ${byRank ? 'rank' : 'time'}: ${found} found; ${times}`)
}

try {
  const userId: UserId = '@searcher:bench.test'
  const { userNid } = await createAccount(ctx, { userId } as never)
  const requester = { userId, userNid, domain: 'bench.test', isAdmin: false } as never
  const { room } = (await ctx.hotRooms.get(await createRoomAsAsked(ctx, requester, {})))!
  const started = performance.now()
  await fill(userNid, room)
  console.log(`${messages} messages made in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  const searcher = { userId, userNid, deviceId: undefined }
  for (const term of ['any1', 'say42', 'any1 say42', 'word500', 'rare210000', 'nothing']) {
    for (const byRank of [true, false]) await measure(searcher, term, byRank)
  }
} finally {
  await close()
}
