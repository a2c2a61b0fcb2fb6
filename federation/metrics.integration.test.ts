import { expect, test } from 'vitest'
import { pair, sees, seesMembership, via } from './two-servers.fixtures.ts'

test('what other servers take and send is counted, and who cannot be reached is named', async () => {
  await using servers = await pair()
  const { one, other, alice, bob } = servers
  const room = await alice.createRoom({ preset: 'public_chat' })
  await bob.post(`/_matrix/client/v3/join/${encodeURIComponent(room)}?via=${via(one)}`, {})
  await seesMembership(alice, room, bob.userId, 'join')
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'over there' })
  await sees(bob, room, 'over there')

  const there = other.ctx.domains.default
  const scraped = (pattern: RegExp) => async () => pattern.exec(await one.ctx.metrics.scrape())?.[1]
  await expect.poll(scraped(/^chappe_federation_sent_total\{kind="pdu"\} (\d+)$/m)).toBe('1')
  await expect.poll(scraped(/^chappe_federation_destinations\{state="told"\} (\d+)$/m)).toBe('1')
  expect(await one.ctx.metrics.scrape()).not.toContain(there)
  expect(await other.ctx.metrics.scrape()).toMatch(
    /^chappe_federation_received_total\{kind="pdu",outcome="accepted"\} 1$/m,
  )

  await other.ctx.database.transaction((query) => query('alter table incoming_transactions rename to hidden', []))
  await alice.send(room, 'm.room.message', { msgtype: 'm.text', body: 'not taken' })
  const failures = new RegExp(`^chappe_federation_destination_failures\\{destination="${there}"\\} (\\d+)$`, 'm')
  await expect.poll(scraped(failures)).toBe('1')
  const text = await one.ctx.metrics.scrape()
  expect(text).toMatch(/^chappe_federation_destinations\{state="failing"\} 1$/m)
  expect(text).toMatch(/^chappe_federation_destination_waiting_seconds\{.*\} 0?\.?\d+/m)
  expect(text).toMatch(/^chappe_federation_destination_lag_positions\{.*\} [1-9]\d*$/m)
  expect(text).toMatch(/^chappe_federation_request_duration_seconds_count\{outcome="refused"\} 1$/m)
})
