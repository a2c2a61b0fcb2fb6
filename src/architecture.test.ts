import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

/** Which parts may import which: docs/architecture.md. The files directly in src are the composition root, `.`. */
const allowed: { readonly [part: string]: readonly string[] } = {
  'src/matrix': [],
  'src/storage': ['src/matrix'],
  'src/net': ['src/matrix'],
  'src/metrics': ['src/matrix', 'src/storage'],
  'src/tracing': ['src/matrix', 'src/storage'],
  'src/http': ['src/matrix', 'src/storage', 'src/accounts', 'src/tracing'],
  'src/admin': ['src/matrix', 'src/storage', 'src/http', ...domains()],
  'src/client': ['src/matrix', 'src/storage', 'src/http', ...domains()],
  'src/cli': ['src/matrix', 'src/storage', 'src/http', ...domains()],
  'src/testing': ['src/matrix', 'src/storage', 'src/http', ...domains()],
  federation: ['src/matrix', 'src/storage', 'src/net', 'src/http', 'src/tracing', ...domains()],
  // Benchmarks drive any part by itself, and the same servers as the black-box tests.
  bench: [
    'src/matrix',
    'src/storage',
    'src/testing',
    'src/http',
    'src/client',
    'src/cli',
    'federation',
    'complement-tests',
    ...domains(),
  ],
  'complement-tests': [],
  '.': [
    'src/matrix',
    'src/storage',
    'src/metrics',
    'src/tracing',
    'src/http',
    'src/client',
    'src/admin',
    'src/cli',
    ...domains(),
    'federation',
  ],
}

function domains(): readonly string[] {
  return [
    'accounts',
    'application-services',
    'devices',
    'rooms',
    'keys',
    'profiles',
    'push',
    'receipts',
    'account-data',
    'media',
    'presence',
    'delayed-events',
    'search',
    'previews',
    'sync',
    'server-notices',
    'mail',
    'identity-servers',
  ].map((name) => `src/${name}`)
}

/** The domains may use one another: what is a user's, a device's or a room's is asked of its owner. */
for (const domain of domains())
  Object.assign(allowed, { [domain]: ['src/matrix', 'src/storage', 'src/net', ...domains()] })

/** Anybody may use the types of the composition root, and these of its files, which hold values and no state. */
const values = new Set([
  'src/config.ts',
  'src/config-schema.ts',
  'src/random.ts',
  'src/clock.ts',
  'src/pause.ts',
  'src/thread-pool.ts',
])

const root = join(import.meta.dirname, '..')
const importPattern =
  /^(?:import|export)\s+(type\s)?[^'"]*?from\s+'(\.[^']+)'|^\s*import\s+'(\.[^']+)'|import\('(\.[^']+)'\)/gm

function partOf(file: string): string {
  const [first, second] = file.split('/')
  if (first !== 'src') return first!
  return second!.endsWith('.ts') ? '.' : `src/${second}`
}

type Import = { readonly file: string; readonly target: string; readonly isType: boolean }

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(importPattern)].map((match) => ({
    file,
    target: relative(root, resolve(root, dirname(file), (match[2] ?? match[3] ?? match[4])!)),
    isType: match[1] !== undefined,
  }))
}

function sources(): string[] {
  return ['src', 'federation', 'bench', 'complement-tests'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  )
}

function isAllowed({ file, target, isType }: Import): boolean {
  const [from, to] = [partOf(file), partOf(target)]
  if (from === to) return true
  // The number of the release.
  if (target === 'package.json') return true
  // Tests and what they share may use the harness, and the programs of the root.
  if (isForTests(file) && (to === 'src/testing' || to === '.')) return true
  if (to === '.') {
    return (
      ['src/cli', 'src/testing', 'bench'].includes(from) || (from !== 'src/matrix' && (isType || values.has(target)))
    )
  }
  return allowed[from]?.includes(to) === true || (isType && from === 'src/http' && to === 'src/accounts')
}

function isForTests(file: string): boolean {
  return /\.(test|fixtures)\.ts$/.test(file) || file.startsWith('src/testing/')
}

const files = sources()
const production = files.filter((file) => !isForTests(file))

test('no part imports what is not below it', () => {
  const forbidden = files.flatMap(importsOf).filter((one) => !isAllowed(one))
  expect(forbidden.map(({ file, target }) => `${file} → ${target}`)).toEqual([])
})

test('src knows nothing of federation but in main', () => {
  const imports = files.filter((file) => file.startsWith('src/') && file !== 'src/main.ts').flatMap(importsOf)
  expect(imports.filter(({ target }) => target.startsWith('federation/'))).toEqual([])
})

test('time, chance and the environment come from the context', () => {
  const mayRead = new Set(['src/main.ts', 'src/config.ts', 'src/system-clock.ts'])
  // A duration that is only measured, for a metric say, may be.
  const ambient = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\.env\b/
  const offenders = production.filter(
    (file) => file.startsWith('src/') && !mayRead.has(file) && ambient.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(offenders).toEqual([])
})

test('the pure core does no input or output', () => {
  const ambient = /\bawait\b|\bPromise\b|from 'node:(?!crypto|buffer|module)/
  const core = production.filter((file) => file.startsWith('src/matrix/'))
  const code = (file: string): string =>
    readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  expect(core.filter((file) => ambient.test(code(file)))).toEqual([])
})

test('names say what a file is for', () => {
  const names = files.map((file) => file.split('/').at(-1)!)
  expect(names.filter((name) => !/^[a-z0-9-]+(\.integration)?(\.test|\.fixtures)?\.ts$/.test(name))).toEqual([])
  expect(names.filter((name) => /^(utils?|helpers?|common|manager|service)\b/.test(name))).toEqual([])
})
