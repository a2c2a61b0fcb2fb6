import type { Json, JsonObject } from '../matrix/json.ts'

/** Keys without which no client could make anything of an event: a server may include more than was asked for. */
const always: readonly string[] = ['event_id', 'origin_server_ts', 'sender', 'state_key', 'type']

type Tree = Map<string, Tree | 'all'>

/**
 * Leaves of events, as JSON text, only the fields that a filter names.
 *
 * Spec: Client-Server API, "Filtering", `event_fields`: names of keys within one another, separated by dots; a backslash
 * takes the meaning from a dot or another backslash.
 */
export function onlyFields(fields: readonly string[]): (text: string) => string {
  const tree: Tree = new Map(always.map((key) => [key, 'all']))
  tree.set('content', new Map())
  for (const field of fields) add(tree, keysOf(field))
  return (text) => JSON.stringify(pick(JSON.parse(text) as JsonObject, tree))
}

function keysOf(field: string): string[] {
  const keys = ['']
  for (let index = 0; index < field.length; index++) {
    const isEscape = field[index] === '\\' && (field[index + 1] === '.' || field[index + 1] === '\\')
    if (isEscape) keys.push(`${keys.pop()}${field[++index]}`)
    else if (field[index] === '.') keys.push('')
    else keys.push(`${keys.pop()}${field[index]}`)
  }
  return keys
}

function add(tree: Tree, [key, ...rest]: readonly string[]): void {
  const known = tree.get(key!)
  if (known === 'all') return
  if (rest.length === 0) tree.set(key!, 'all')
  else {
    const below: Tree = known ?? new Map()
    tree.set(key!, below)
    add(below, rest)
  }
}

function pick(value: JsonObject, tree: Tree): JsonObject {
  const picked: [string, Json][] = []
  for (const [key, inner] of Object.entries(value)) {
    const wanted = tree.get(key)
    if (wanted === 'all') picked.push([key, inner as Json])
    else if (wanted && typeof inner === 'object' && inner !== null && !Array.isArray(inner)) {
      const below = pick(inner as JsonObject, wanted)
      if (key === 'content' || Object.keys(below).length > 0) picked.push([key, below])
    }
  }
  return Object.fromEntries(picked)
}
