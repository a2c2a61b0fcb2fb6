import { expect, test } from 'vitest'
import { createFakeClock } from '../testing/fakes.ts'
import { startTestServer } from '../testing/index.ts'
import { pruningPortion } from './prune-transactions.ts'

const day = 24 * 60 * 60 * 1000

test('transaction ids of events and of messages to devices are deleted a day later, however many there are', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock })
  const alice = await server.register('alice')
  const room = await alice.createRoom()
  const send = (txnId: string) =>
    alice.put(`/rooms/${encodeURIComponent(room)}/send/m.room.message/${txnId}`, { msgtype: 'm.text', body: txnId })
  const toDevice = (txnId: string) =>
    alice.put(`/sendToDevice/m.test/${txnId}`, { messages: { [alice.userId]: { '*': {} } } })
  await send('old')
  await toDevice('old too')
  const { db } = server.ctx.database
  const old = await db.selectFrom('transactions').selectAll().execute()
  expect(old.map((row) => row.txn_id).sort()).toEqual(['old', 'old too'])
  const many = Array.from({ length: pruningPortion }, (_, index) => ({ ...old[0]!, txn_id: `many ${index}` }))
  for (let start = 0; start < many.length; start += 1000) {
    await db
      .insertInto('transactions')
      .values(many.slice(start, start + 1000))
      .execute()
  }
  clock.advance(day)
  await send('new')
  await toDevice('new too')
  expect(await server.ctx.transactionPruning.prune()).toBe(0)
  clock.advance(1)
  expect(await server.ctx.transactionPruning.prune()).toBe(pruningPortion + 2)
  const left = await db.selectFrom('transactions').select('txn_id').execute()
  expect(left.map((row) => row.txn_id).sort()).toEqual(['new', 'new too'])
})

test('answers to transactions of servers are deleted a day later', async () => {
  const clock = createFakeClock()
  await using server = await startTestServer({ clock })
  const { db } = server.ctx.database
  const answered = (txn_id: string) =>
    db
      .insertInto('incoming_transactions')
      .values({ origin: 'other.test', txn_id, answer: '{}', received_at: clock.now() })
      .execute()
  await answered('old')
  clock.advance(day + 1)
  await answered('new')
  expect(await server.ctx.transactionPruning.prune()).toBe(1)
  expect(await db.selectFrom('incoming_transactions').select('txn_id').execute()).toEqual([{ txn_id: 'new' }])
})
