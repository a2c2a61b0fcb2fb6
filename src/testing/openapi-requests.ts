import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import type { Operation } from './openapi.ts'
import type { Answer } from './test-client.ts'

/** What the specification's OpenAPI files say about requests. */

/**
 * The path without the names of its parameters: what the same path looks like wherever it is written down. Where two operations have
 * one path, the specification writes one of them with a space behind it.
 */
export function shapeOf(path: string): string {
  return path
    .replaceAll(/\{\w+\}/g, '{}')
    .trimEnd()
    .replace(/\/$/, '')
}

const files = new Map<string, Answer>()

export function readYaml(file: string): Answer {
  let content = files.get(file)
  if (content === undefined) files.set(file, (content = parse(readFileSync(file, 'utf8'))))
  return content
}

export function declarationOf({ file, pointer }: Operation): Answer {
  const keys = pointer.slice(1).split('/')
  return keys.reduce((node, key) => node[key.replaceAll('~1', '/').replaceAll('~0', '~')], readYaml(file))
}

export function queryNamesOf(operation: Operation): string[] {
  const parameters: Answer[] = declarationOf(operation).parameters ?? []
  return parameters.filter((one) => one.in === 'query').map((one) => one.name)
}

/** A body that the specification shows, or one made after its schema. */
export function exampleOf(operation: Operation): Answer {
  const media = declarationOf(operation).requestBody?.content?.['application/json']
  if (media === undefined) return undefined
  const [shown] = Object.values<Answer>(media.examples ?? {})
  const example = shown?.value ?? media.example
  return merged(exampleOfSchema(media.schema, operation.file), example)
}

function exampleOfSchema(schema: Answer, file: string, depth = 0): Answer {
  if (schema === undefined || depth > 6) return {}
  if (typeof schema.$ref === 'string' && !schema.$ref.startsWith('#')) {
    const target = join(dirname(file), schema.$ref)
    return exampleOfSchema(readYaml(target), target, depth + 1)
  }
  const parts = [...(schema.allOf ?? []), ...(schema.oneOf ?? []).slice(0, 1)]
  const made = parts.reduce((value, part) => merged(value, exampleOfSchema(part, file, depth + 1)), undefined)
  if (schema.properties === undefined) return merged(made, schema.example ?? plainOf(schema, file, depth))
  const members = Object.entries(schema.properties).map(([name, one]) => [name, exampleOfSchema(one, file, depth + 1)])
  return merged(merged(made, Object.fromEntries(members)), schema.example)
}

function plainOf(schema: Answer, file: string, depth: number): Answer {
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type
  if (type === 'array') return [exampleOfSchema(schema.items, file, depth + 1)]
  if (type === 'integer' || type === 'number') return 1
  if (type === 'boolean') return true
  return type === 'string' ? (schema.enum?.[0] ?? 'text') : {}
}

/** The members of both; what `over` says counts. */
function merged(base: Answer, over: Answer): Answer {
  const areObjects = [base, over].every((one) => typeof one === 'object' && one !== null && !Array.isArray(one))
  return areObjects ? { ...base, ...over } : (over ?? base)
}
