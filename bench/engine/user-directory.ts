import { createAccount } from '../../src/accounts/create-account.ts'
import type { UserId } from '../../src/matrix/ids.ts'
import { searchUsers } from '../../src/profiles/user-directory.ts'
import { createRoomAsAsked } from '../../src/rooms/create-room-as-asked.ts'
import { cpuSeconds, latenciesOf } from '../measure.ts'
import { openBench } from './deployment.ts'

/**
 * What a search of the user directory takes among many users, through the engine without HTTP: where everybody with an
 * account is found, and where only those are with whom one shares a room or who are in a public one.
 *
 *   node bench/engine/user-directory.ts [USERS]
 */
const users = Number(process.argv[2] ?? 300_000)
const roomsOfSearcher = 50
const membersPerRoom = 200
/** Rooms that each user is in, of as many users each. */
const roomsPerUser = 10
const membersOfPublicRoom = Math.floor(users / 10)
const rounds = 20

const { ctx, close } = await openBench('user-directory')

const first =
  'Claude Hélène Ignace Marie Jean Chloé Noël Zoé André Lucie René Anaïs Paul Inès Luc Léa Hugo Eva Max Élise'
const last = 'Chappe Martin Bernard Dubois Thomas Robert Petit Durand Leroy Moreau Simon Laurent Lefèvre Michel Garcia'

async function fill(searcher: number, publicRoom: number): Promise<void> {
  await ctx.database.transaction(async (query) => {
    await query(
      `insert into users (user_id)
       select '@' || lower((string_to_array($2, ' '))[1 + i % 15]) || '.' || i || ':bench.test' from generate_series(1, $1) i`,
      [users, last],
    )
    await query(`insert into accounts (user_nid, created_at) select user_nid, 0 from users where user_nid > $1`, [
      searcher,
    ])
    await query(
      `insert into profiles (user_nid, fields)
       select user_nid, '{"displayname":"' || (string_to_array($2, ' '))[1 + user_nid * 7 % 20] || ' '
         || (string_to_array($3, ' '))[1 + user_nid % 15] || ' ' || user_nid || '"}' from users where user_nid > $1`,
      [searcher, first, last],
    )
    const members = 'insert into room_users (user_nid, room, membership, event_nid, since)'
    await query(
      `with made as (
         insert into rooms (room_id, room_version) select '!' || lpad(i::text, 43, '0'), '12' from generate_series(1, $2::int) i
         returning room)
       ${members} select $1::int, room, 1, 0, 0 from made
       union all
       select $1::int + 1 + ((room::bigint * 7919 + j * 31) % $3)::int, room, 1, 0, 0 from made, generate_series(1, $4) j on conflict do nothing`,
      [searcher, roomsOfSearcher, users, membersPerRoom],
    )
    await query(
      `with made as (
         insert into rooms (room_id, room_version) select '!' || lpad(i::text, 43, 'x'), '12' from generate_series(1, $2::int) i
         returning room)
       ${members} select $1::int + 1 + ((room::bigint * 104729 + j * 31) % $2)::int, room, 1, 0, 0 from made, generate_series(1, $3) j
       on conflict do nothing`,
      [searcher, users, roomsPerUser],
    )
    await query(
      `${members} select user_nid, $1, 1, 0, 0 from users where user_nid > $2 and user_nid <= $2 + $3 on conflict do nothing`,
      [publicRoom, searcher, membersOfPublicRoom],
    )
    await query(
      `update rooms set joined_members = (select count(*) from room_users m where m.room = rooms.room)
       where room in (select room from room_users where user_nid = $1)`,
      [searcher],
    )
  })
  for (const table of ['users', 'accounts', 'profiles', 'room_users', 'rooms']) {
    await ctx.database.db.executeQuery({ sql: `vacuum analyze ${table}`, parameters: [] } as never)
  }
}

async function measure(searcher: { userNid: number }, all: boolean, term: string): Promise<void> {
  const asked = { ...ctx, config: { ...ctx.config, user_directory: { search_all_users: all } } }
  const samples: number[] = []
  let [found, cpu] = [0, 0]
  for (let round = -3; round < rounds; round++) {
    if (round === 0) cpu = cpuSeconds([process.pid])
    const started = performance.now()
    const { results } = await searchUsers(asked, searcher, { term, limit: 10 })
    found = results.length
    if (round >= 0) samples.push(performance.now() - started)
  }
  const cpuEach = ((cpuSeconds([process.pid]) - cpu) * 1000) / rounds
  const { p50, p99 } = latenciesOf(samples)
  const scope = all ? 'everybody' : 'near ones'
  console.log(
    `  ${scope}, "${term}": ${found} found; p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, CPU ${cpuEach.toFixed(1)} ms`,
  )
}

try {
  const userId: UserId = '@searcher:bench.test'
  const { userNid } = await createAccount(ctx, { userId } as never)
  const requester = { userId, userNid, domain: 'bench.test', isAdmin: false } as never
  const roomId = await createRoomAsAsked(ctx, requester, { preset: 'public_chat' })
  const { room } = (await ctx.hotRooms.get(roomId))!
  const started = performance.now()
  await fill(userNid, room)
  console.log(`${users} users made in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  const terms = ['c', 'cl', 'claude', 'claude chap', 'helene', 'chappe.29', '@chappe.150', 'lefevre 1234', 'nobody']
  for (const all of [true, false]) for (const term of terms) await measure({ userNid }, all, term)
} finally {
  await close()
}
