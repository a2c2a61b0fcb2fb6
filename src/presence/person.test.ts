import { expect, test } from 'vitest'
import { newPerson, presenceContent, shownOf } from './person.ts'

const now = 1_700_000_000_000

function personWith(states: readonly ('online' | 'unavailable')[], idleFor: number) {
  const person = newPerson('@alice:a.test', 1)
  for (const [index, state] of states.entries()) {
    person.claims.set(`${index}`, { state, until: now + 1, isOurs: true, toldAt: now })
  }
  person.lastActive = now - idleFor
  return person
}

test.each([
  [[], 0, 'offline', false],
  [['online'], 0, 'online', true],
  [['online'], 61_000, 'online', false],
  [['online'], 300_000, 'unavailable', false],
  [['unavailable'], 0, 'unavailable', false],
  [['unavailable', 'online'], 0, 'online', true],
] as const)('%j, idle for %d ms: %s', (states, idleFor, state, isActive) => {
  expect(shownOf(personWith(states, idleFor), now)).toMatchObject({ state, isActive })
})

test('the content of an event', () => {
  const person = personWith(['online'], 1_000)
  person.statusMsg = 'here'
  person.shown = shownOf(person, now)
  expect(presenceContent(person, now)).toEqual({
    presence: 'online',
    last_active_ago: 1_000,
    currently_active: true,
    status_msg: 'here',
  })
})
