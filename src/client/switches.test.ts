import { expect, test } from 'vitest'
import { type Config, checkConfig } from '../config.ts'
import type { Context } from '../context.ts'
import { everySwitch } from '../testing/fuzz.ts'
import { endpoints } from './index.ts'
import { getVersions } from './server/get-versions.ts'

/** Switches of what clients do not ask for: nothing is announced of them. */
const silent = ['legacy_mentions']
/** Paths of ours, which depend on whether mail is sent. */
const own = /^\/_matrix\/client\/unstable\/chappe\//

const withSwitches = (...on: readonly string[]): Config =>
  checkConfig({ experimental: Object.fromEntries(everySwitch.map((name) => [name, on.includes(name)])) })

function announced(...on: readonly string[]): string[] {
  const { unstable_features: features } = getVersions.handle(
    { config: withSwitches(...on) } as Context,
    {} as never,
  ) as {
    unstable_features: { [name: string]: boolean }
  }
  return Object.keys(features)
}

/** What the specification does not have at another path too. */
const unstable = endpoints.filter(({ paths }) => paths.every((path) => path.includes('/unstable/') && !own.test(path)))

test('each unstable feature is announced exactly when its switch is on', () => {
  expect(announced()).toEqual([])
  for (const name of everySwitch) {
    if (silent.includes(name)) expect(announced(name)).toEqual([])
    else expect(announced(name).join(' ')).toContain(name === 'sliding_sync' ? 'simplified_msc3575' : name)
    for (const other of everySwitch) {
      if (other.startsWith('msc') && other !== name) expect(announced(name).join(' ')).not.toContain(other)
    }
  }
})

test('each unstable endpoint is served by one switch alone', () => {
  expect(unstable.length).toBeGreaterThan(20)
  for (const { method, paths, when } of unstable) {
    const served = everySwitch.filter((name) => when?.(withSwitches(name)))
    expect([`${method} ${paths[0]}`, served.length]).toEqual([`${method} ${paths[0]}`, 1])
    expect(when?.(withSwitches())).toBe(false)
  }
})
