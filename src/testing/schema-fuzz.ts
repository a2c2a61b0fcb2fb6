import { dirname, join } from 'node:path'
import type { Dice } from './dice.ts'
import { oddValues } from './odd-values.ts'
import { readYaml } from './openapi-requests.ts'
import type { Answer } from './test-client.ts'

/** What there is on the server, by the name that the specification's parameters and keys give it. */
export type Known = ReadonlyMap<string, string>

export type Schema = {
  readonly schema: Answer
  /** The file that its references start from. */
  readonly file: string
}

export type Writing = {
  readonly dice: Dice
  readonly known: Known
  /** How probable it is that a place holds what does not belong there. */
  readonly spoil: number
}

const deepest = 8
/** Characters of what is written many times. */
const mostCopied = 500_000

/** A JSON text after a schema, spoiled here and there: some of it no `JSON.stringify` would write. */
export function writeValue(writing: Writing, { schema, file }: Schema, name = '', depth = 0): string {
  const { dice, spoil } = writing
  if (dice.chance(spoil)) return writeOdd(writing)
  if (schema === undefined || schema === true || depth > deepest) return writeAnything(writing, depth)
  if (typeof schema.$ref === 'string') return writeValue(writing, referred(schema.$ref, file), name, depth + 1)
  const choices = schema.oneOf ?? schema.anyOf
  if (choices !== undefined && schema.properties === undefined) {
    return writeValue(writing, { schema: dice.pick(choices), file }, name, depth + 1)
  }
  const type = Array.isArray(schema.type) ? dice.pick<string>(schema.type) : schema.type
  if (type === 'object' || schema.properties || schema.allOf) return writeObject(writing, { schema, file }, depth)
  if (type === 'array') return writeArray(writing, { schema: schema.items, file }, depth)
  if (type === 'integer' || type === 'number') return String(dice.pick([0, 1, 2, 10, 50, 1000, 1_790_000_000_000]))
  if (type === 'boolean') return dice.pick(['true', 'false'])
  if (type === 'string') return JSON.stringify(textFor(writing, schema, name))
  return writeAnything(writing, depth)
}

function writeObject(writing: Writing, { schema, file }: Schema, depth: number): string {
  const { dice, spoil, known } = writing
  const { properties, required, additional } = membersOf({ schema, file })
  const members: string[] = []
  for (const [name, property] of properties) {
    if (dice.chance(required.has(name) ? spoil / 2 : 0.4)) continue
    const value = writeValue(writing, property, name, depth + 1)
    members.push(`${JSON.stringify(name)}:${value}`)
    // Which of two counts is nowhere said.
    if (dice.chance(spoil / 4)) members.push(`${JSON.stringify(name)}:${writeOdd(writing)}`)
  }
  const strangers = additional !== undefined || properties.size === 0 ? dice.below(4) : dice.chance(spoil) ? 1 : 0
  for (let count = 0; count < strangers; count++) {
    const key = dice.chance(spoil) ? dice.pick(oddKeys) : JSON.stringify(dice.pick([...known.values(), ...commonKeys]))
    members.push(`${key}:${writeValue(writing, additional ?? { schema: undefined, file }, '', depth + 1)}`)
  }
  return `{${members.join(',')}}`
}

function writeArray(writing: Writing, items: Schema, depth: number): string {
  const { dice, spoil } = writing
  const item = (): string => writeValue(writing, items, '', depth + 1)
  // Many of the same cost as much to check as many different ones.
  if (dice.chance(spoil / 8)) return `[${copiesOf(item()).join(',')}]`
  return `[${Array.from({ length: dice.below(4) }, item).join(',')}]`
}

/** As many as fit: what is copied can be large itself, and an array of such arrays. */
function copiesOf(text: string): string[] {
  return Array<string>(Math.min(2000, 1 + Math.floor(mostCopied / text.length))).fill(text)
}

const oddKeys = [
  '""',
  '"__proto__"',
  '"constructor"',
  '"toString"',
  '"\\u0000"',
  '"\\ud800"',
  '"a.b.c"',
  '"@:"',
  '"@a\\u0000:a.test"',
  `"${'k'.repeat(300)}"`,
  '"\\u202e"',
]
const commonKeys = ['m.room.message', 'signed_curve25519:AAAA', 'ed25519:AAAA', 'alice', 'a.b', '*', 'body', 'msgtype']

/** Keys that mean something somewhere, with values that may be wrong: also for what no schema describes. */
function writeAnything(writing: Writing, depth: number): string {
  const { dice, known } = writing
  if (depth > deepest || dice.chance(0.2)) return writeOdd(writing)
  const kind = dice.below(4)
  if (kind === 0) return JSON.stringify(dice.pick([...known.values()]))
  if (kind === 1) return `[${Array.from({ length: dice.below(3) }, () => writeAnything(writing, depth + 2))}]`
  if (kind === 2) return String(dice.below(100))
  const keys = [...known.keys(), ...knownKeys]
  const members = Array.from({ length: dice.below(6) }, () => {
    const key = dice.pick(keys)
    const value = known.get(key)
    return `${JSON.stringify(key)}:${value !== undefined && dice.chance(0.7) ? JSON.stringify(value) : writeAnything(writing, depth + 2)}`
  })
  return `{${members.join(',')}}`
}

/** Keys of operations that the specification does not have yet, and of contents. */
const knownKeys =
  'lists ranges required_state timeline_limit room_subscriptions extensions conn_id filters content m.relates_to rel_type m.mentions user_ids type state_key via limit reason events enabled since conditions actions algorithm auth_data delay creation_content power_level_content_override users events_default aliases alias allow join_rule membership third_party_invite'.split(
    ' ',
  )

/** A value that no schema asks for. */
export function writeOdd({ dice }: Pick<Writing, 'dice'>): string {
  const kind = dice.below(60)
  if (kind === 0) return `${'['.repeat(30_000)}${']'.repeat(30_000)}`
  if (kind === 1) return `"${'x'.repeat(70_000)}"`
  if (kind === 2) return `{${Array.from({ length: 3000 }, (_, index) => `"k${index}":${index}`).join(',')}}`
  if (kind === 3) return `[${Array(10_000).fill('"x"').join(',')}]`
  if (kind === 4) return `"${'\\ud83d'.repeat(200)}"`
  return dice.pick(oddValues)
}

function textFor({ dice, known }: Writing, schema: Answer, name: string): string {
  if (Array.isArray(schema.enum) && dice.chance(0.9)) return dice.pick(schema.enum)
  const format = /^mx-(.*)$/.exec(schema.format ?? '')?.[1]?.replaceAll('-', '_')
  const value = known.get(name) ?? known.get(format ?? '')
  if (value !== undefined && dice.chance(0.9)) return value
  return typeof schema.example === 'string' && dice.chance(0.8)
    ? realOf(schema.example, known)
    : dice.pick(['', 'text', 'm.room.message', 'a.test', '0', 'true', ...known.values()])
}

const sigils = [
  ['@', 'user_id'],
  ['!', 'room_id'],
  ['$', 'event_id'],
  ['#', 'room_alias'],
] as const

/** The example, about what there is. */
function realOf(example: string, known: Known): string {
  const name = sigils.find(([sigil]) => example.startsWith(sigil))?.[1]
  return known.get(name ?? '') ?? example
}

function referred(reference: string, file: string): Schema {
  const [path = '', pointer = ''] = reference.split('#')
  const target = path === '' ? file : join(dirname(file), path)
  const keys = pointer.split('/').filter((key) => key !== '')
  return { schema: keys.reduce((node, key) => node?.[key], readYaml(target)), file: target }
}

type Members = {
  readonly properties: Map<string, Schema>
  readonly required: Set<string>
  additional: Schema | undefined
}

/** The members of an object, those of its parts included. */
function membersOf({ schema, file }: Schema, depth = 0): Members {
  const members: Members = { properties: new Map(), required: new Set(schema?.required ?? []), additional: undefined }
  if (depth > deepest) return members
  const parts = [...(schema.allOf ?? []), ...(schema.oneOf ?? []).slice(0, 1)].map((part) => ({ schema: part, file }))
  if (typeof schema.$ref === 'string') parts.push(referred(schema.$ref, file))
  for (const part of parts) {
    const { properties, required, additional } = membersOf(part, depth + 1)
    for (const [name, property] of properties) members.properties.set(name, property)
    for (const name of required) members.required.add(name)
    members.additional = additional ?? members.additional
  }
  for (const [name, one] of Object.entries(schema.properties ?? {})) members.properties.set(name, { schema: one, file })
  const [pattern] = Object.values(schema.patternProperties ?? {})
  const additional = schema.additionalProperties ?? pattern
  if (typeof additional === 'object') members.additional = { schema: additional, file }
  return members
}
