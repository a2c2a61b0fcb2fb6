import { expect, test } from 'vitest'
import type { Answer } from '../../src/testing/test-client.ts'
import { attackedRoom } from '../attacked-room.fixtures.ts'

test('a message to a device that the database does not let through comes with the next attempt, once', async () => {
  await using scene = await attackedRoom()
  const { home, hostile, room, alice } = scene
  await home.ctx.database.transaction(async (query) => {
    await query('create sequence tries', [])
    await query(
      `create function refuse_first() returns trigger language plpgsql as $$ begin
         if nextval('tries') = 1 then raise exception 'not now' using errcode = '57P01'; end if; return new; end $$`,
      [],
    )
    await query('create trigger refuse before insert on to_device for each row execute function refuse_first()', [])
  })
  const content = {
    type: 'm.test',
    sender: room.user(),
    message_id: 'once',
    messages: { [alice.userId]: { '*': { word: 'hello' } } },
  }
  const edus = [{ edu_type: 'm.direct_to_device', content }]
  const body = { origin: hostile.name, origin_server_ts: Date.now(), pdus: [], edus }
  const send = async () => (await hostile.request(home, 'PUT', '/_matrix/federation/v1/send/again', { body })).status
  expect([await send(), await send(), await send()]).toEqual([500, 200, 200])
  const { events } = (await alice.sync()).to_device
  expect(events.map((event: Answer) => event.content)).toEqual([{ word: 'hello' }])
})
