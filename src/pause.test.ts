import { getEventListeners } from 'node:events'
import { expect, test } from 'vitest'
import { createAlarm, pause } from './pause.ts'

const never = new AbortController().signal

test('an alarm ends a rest, also one that begins after it rang, and that one alone', async () => {
  const alarm = createAlarm()
  const resting = alarm.rest(Number.POSITIVE_INFINITY, never)
  alarm.ring()
  await resting
  alarm.ring()
  await alarm.rest(Number.POSITIVE_INFINITY, never)
  const stop = new AbortController()
  let isOver = false
  const next = alarm.rest(Number.POSITIVE_INFINITY, stop.signal).then(() => {
    isOver = true
  })
  await Promise.resolve()
  expect(isOver).toBe(false)
  stop.abort()
  await next
})

test('a pause ends by itself or with its signal, and leaves nothing at the signal', async () => {
  const stop = new AbortController()
  await pause(1, stop.signal)
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(0)
  const long = pause(60_000, stop.signal)
  stop.abort()
  await long
  await pause(60_000, stop.signal)
})
