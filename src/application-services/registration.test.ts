import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError } from '../config.ts'
import { readRegistrations } from './registration.ts'

const folder = mkdtempSync(join(tmpdir(), 'chappe-registrations-'))
afterAll(() => rmSync(folder, { recursive: true }))

const irc = `
id: "IRC Bridge"
url: "http://127.0.0.1:1234/"
as_token: "30c05ae9"
hs_token: "312df522"
sender_localpart: "_irc_bot"
namespaces:
  users:
    - exclusive: true
      regex: "@_irc_bridge_.*"
  aliases:
    - exclusive: false
      regex: "#_irc_bridge_.*"
  rooms: []
de.sorunome.msc2409.push_ephemeral: true
protocols: [irc]
`

function write(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

function problemsOf(...files: string[]): readonly string[] {
  try {
    readRegistrations(files, 'a.test')
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('the example of the specification', () => {
  const [service] = readRegistrations([write('irc.yaml', irc)], 'a.test')
  expect(service).toMatchObject({
    id: 'IRC Bridge',
    url: 'http://127.0.0.1:1234',
    sender: '@_irc_bot:a.test',
    isRateLimited: true,
    ephemeral: { stable: false, unstable: true },
    protocols: ['irc'],
  })
  expect(service!.users.isExclusive('@_irc_bridge_x:a.test')).toBe(true)
})

test('what is wrong is said with its file, its place and the reason', () => {
  const file = write('bad.yaml', irc.replace('"@_irc_bridge_.*"', '"@(?=x)"').replace('127.0.0.1:1234/', ''))
  expect(problemsOf(file)).toEqual([
    `app_service_config_files: ${file}: url: expected an HTTP URL, or null`,
    expect.stringContaining(`app_service_config_files: ${file}: namespaces.users: "@(?=x)" is not a pattern`),
  ])
  const incomplete = write('incomplete.yaml', irc.replace(/^as_token.*$/m, ''))
  expect(problemsOf(incomplete)).toEqual([
    `app_service_config_files: ${incomplete}: as_token: expected required property`,
  ])
  expect(problemsOf(join(folder, 'missing.yaml'))).toEqual([
    `app_service_config_files: ${join(folder, 'missing.yaml')}: cannot be read`,
  ])
  expect(problemsOf(write('no.yaml', ': : :'))).toEqual([expect.stringContaining('is not valid YAML')])
})

test('two services do not share an id or a token', () => {
  const [one, other] = [write('one.yaml', irc), write('other.yaml', irc)]
  expect(problemsOf(one, other)).toEqual([
    'app_service_config_files: the id IRC Bridge is used twice',
    'app_service_config_files: the as_token of IRC Bridge is used twice',
  ])
})
