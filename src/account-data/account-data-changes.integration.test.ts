import { expect, test } from 'vitest'
import { startTestServer } from '../testing/index.ts'

const each = Array.from({ length: 12 }, (_, index) => index)

test('tags and push rules that are changed at once by two processes are all there', async () => {
  await using one = await startTestServer()
  await using two = await startTestServer({ sharing: one })
  const alice = await one.register('alice')
  const clients = [alice, two.adopt(alice)]
  const room = await alice.createRoom()
  const tags = `/user/${encodeURIComponent(alice.userId)}/rooms/${encodeURIComponent(room)}/tags`
  const at = (index: number) => clients[index % 2]!
  await Promise.all(
    each.flatMap((index) => [
      at(index).put(`${tags}/u.${index}`, { order: index / 100 }),
      at(index).put(`/pushrules/global/content/rule${index}`, { pattern: `word${index}`, actions: ['notify'] }),
    ]),
  )
  expect(Object.keys((await alice.get(tags)).tags).sort()).toEqual(each.map((index) => `u.${index}`).sort())
  const { content } = (await alice.get('/pushrules/')).global
  const own = content.map(({ rule_id: id }: { rule_id: string }) => id).filter((id: string) => id.startsWith('rule'))
  expect(own.sort()).toEqual(each.map((index) => `rule${index}`).sort())

  await Promise.all(each.map((index) => at(index).delete(`${tags}/u.${index}`)))
  expect((await alice.get(tags)).tags).toEqual({})
})
