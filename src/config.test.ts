import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ConfigError, checkConfig, configLeaves, environmentNameOf, loadConfig } from './config.ts'

const sampleFile = join(import.meta.dirname, '..', 'config.sample.yaml')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'chappe-config-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function problemsOf(tree: unknown): readonly string[] {
  try {
    checkConfig(tree)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('the sample', () => {
  const text = readFileSync(sampleFile, 'utf8')

  test('says what the defaults are', () => {
    expect(loadConfig({ file: sampleFile, env: {} })).toEqual(loadConfig({ env: {} }))
  })

  test('shows every key, those without a default in a comment', () => {
    const shown = parse(text) as Record<string, unknown>
    for (const { path, schema } of configLeaves()) {
      let node: unknown = shown
      for (const key of path) node = (node as Record<string, unknown> | undefined)?.[key]
      if (schema.default === undefined) expect(text).toMatch(new RegExp(`^ *# ${path.at(-1)}: `, 'm'))
      else expect(node, path.join('.')).toEqual(schema.default)
    }
  })
})

test('a section in which everything is a comment is as good as not there', () => {
  const file = join(folder, 'config.yaml')
  writeFileSync(file, 'retention:\n  limits:\n    # max_lifetime:\nlog:\n')
  expect(loadConfig({ file, env: {} })).toEqual(loadConfig({ env: {} }))
})

test('every key is looked at by something', () => {
  const root = join(import.meta.dirname, '..')
  const text = ['src', 'federation']
    .flatMap((part) =>
      readdirSync(join(root, part), { recursive: true, encoding: 'utf8' }).map((name) => join(root, part, name)),
    )
    .filter((file) => file.endsWith('.ts') && !/\.test\.ts$|\/config-schema\.ts$|\/testing\//.test(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n')
  const words = new Set(text.match(/\w+/g))
  expect(configLeaves().filter(({ path }) => !words.has(path.at(-1)!))).toEqual([])
  // A key called like many others in a section that nobody opens would be missed.
  const sections = [...new Set(configLeaves().map(({ path }) => path[0]!))]
  expect(sections.filter((name) => !new RegExp(`(config\\.|\\{ (\\w+, )*)${name}\\b`).test(text))).toEqual([])
})

describe('what is refused', () => {
  test.each([
    [{ colour: 'blue' }, 'colour: is not a key of this configuration'],
    [{ log: { colour: 1 } }, 'log.colour: is not a key of this configuration'],
    [{ port: '80a' }, 'port: expected integer'],
    [{ port: 65_536 }, 'port: expected integer to be less or equal to 65535'],
    [{ log: { level: 'loud' } }, 'log.level: expected one of fatal, error, warn, info, debug, trace, silent'],
    [{ server_names: ['not a name'] }, 'server_names.0: expected a Matrix server name, not "not a name"'],
    [{ server_names: [] }, 'server_names: expected at least one server name'],
    [{ server_names: ['a.test', 'a.test'] }, 'server_names: "a.test" is given twice'],
    [{ registration: { shared_secret: 'short' } }, 'registration.shared_secret: expected string length'],
    [{ registration: { shared_secret: 'changeme' } }, 'registration.shared_secret: expected a secret of your own'],
    [{ rate_limits: { message: { per_second: 0 } } }, 'rate_limits.message.per_second: expected number to be greater'],
    [{ domains: [{ name: 'a.test', public_baseurl: 'a.test' }] }, 'domains.0.public_baseurl: expected string to match'],
    [
      { domains: [{ name: 'a.test', support_contacts: [{ role: 'm.role.admin' }] }] },
      'domains.0.support_contacts.0: expected object to have at least 2 properties',
    ],
  ])('%j', (tree, expected) => {
    expect(problemsOf(tree)[0]).toContain(expected)
  })

  test('all of it at once', () => {
    expect(problemsOf({ colour: 1, port: 'x', host: 5 })).toHaveLength(3)
  })

  test('a file that is not there, and one that is not YAML', () => {
    expect(() => loadConfig({ file: join(folder, 'none'), env: {} })).toThrow(/cannot be read/)
    const file = join(folder, 'broken.yaml')
    writeFileSync(file, 'a: [')
    expect(() => loadConfig({ file, env: {} })).toThrow(/is not valid YAML/)
    writeFileSync(file, '- a')
    expect(() => loadConfig({ file, env: {} })).toThrow(/must hold a mapping/)
  })
})

describe('the environment', () => {
  test('sets every key, over the file', () => {
    const file = join(folder, 'config.yaml')
    writeFileSync(file, 'port: 1\nhost: "::1"\n')
    const config = loadConfig({
      file,
      env: {
        CHAPPE_PORT: '8448',
        CHAPPE_SERVER_NAMES: 'a.test, b.test',
        CHAPPE_REGISTRATION: 'token',
        CHAPPE_RATE_LIMITS: 'off',
        CHAPPE_DATABASE_ALLOW_UNSAFE_DURABILITY: 'true',
        CHAPPE_RATE_LIMITS_MESSAGE_PER_SECOND: '0.5',
        CHAPPE_DOMAINS: '[{ name: b.test, hosts: [chat.b.test] }]',
        CHAPPE_LOG_LEVEL: 'debug',
      },
    })
    expect(config).toMatchObject({
      port: 8448,
      host: '::1',
      server_names: ['a.test', 'b.test'],
      domains: [
        { name: 'a.test', hosts: [] },
        { name: 'b.test', hosts: ['chat.b.test'] },
      ],
      registration: { mode: 'token' },
      rate_limits: { enabled: false, message: { per_second: 0.5, burst_count: 10 } },
      database: { allow_unsafe_durability: true },
      log: { level: 'debug' },
    })
  })

  test('has a name of its own for every key', () => {
    const names = configLeaves().map((leaf) => environmentNameOf(leaf.path))
    expect(new Set(names).size).toBe(names.length)
  })

  test('has no other names: a mistaken one is not passed over', () => {
    const env = {
      CHAPPE_SERVER_NAME: 'a.test',
      CHAPPE_PORT_FILE: '/port',
      CHAPPE_: '',
      chappe_port: '1',
      PATH: '/bin',
      CHAPPE_LOG_LEVEL: 'warn',
    }
    expect(() => loadConfig({ env })).toThrow(
      expect.objectContaining({
        problems: ['CHAPPE_SERVER_NAME', 'CHAPPE_PORT_FILE', 'CHAPPE_'].map(
          (name) => `${name}: is not a variable of this configuration`,
        ),
      }),
    )
    for (const { path, schema } of configLeaves().filter((leaf) => leaf.schema.secret !== true)) {
      const name = `${environmentNameOf(path)}_FILE`
      const isKey = configLeaves().some((leaf) => environmentNameOf(leaf.path) === name)
      if (!isKey) expect(() => loadConfig({ env: { [name]: '/x' } }), JSON.stringify(schema)).toThrow(name)
    }
  })

  test('reports what does not fit by the key', () => {
    expect(() => loadConfig({ env: { CHAPPE_PORT: 'abc' } })).toThrow('port: expected integer')
    expect(() => loadConfig({ env: { CHAPPE_RATE_LIMITS: 'perhaps' } })).toThrow(
      'rate_limits.enabled: expected boolean',
    )
  })

  test('O08: names files that hold secrets, unless everybody can read them', () => {
    const file = join(folder, 'secret')
    writeFileSync(file, 'correct horse\n', { mode: 0o600 })
    const env = { CHAPPE_REGISTRATION_SHARED_SECRET_FILE: file }
    expect(loadConfig({ env }).registration.shared_secret).toBe('correct horse')
    chmodSync(file, 0o644)
    expect(() => loadConfig({ env })).toThrow(/can be read by every user/)
    expect(() => loadConfig({ env: { ...env, CHAPPE_REGISTRATION_SHARED_SECRET: 'x' } })).toThrow(/both set/)
    expect(() => loadConfig({ env: { CHAPPE_REDIS_URL_FILE: join(folder, 'none') } })).toThrow(/cannot be read/)
  })
})
