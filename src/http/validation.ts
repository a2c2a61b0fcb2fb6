import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/value'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'

/** Returns what the handler is given, or throws a MatrixError that names what is wrong. */
export type Checker<T> = (value: T) => T

/** The schema of a body that may be any JSON object. */
export const anyObject = Type.Unsafe<JsonObject>(Type.Object({}))

/** Checks a body in place: nothing is copied, unknown keys stay. */
export function bodyChecker(schema: TSchema): Checker<unknown> {
  const compiled = TypeCompiler.Compile(schema)
  return (body) => {
    if (compiled.Check(body)) return body
    throw bodyError(compiled.Errors(body).First())
  }
}

/** Turns the texts of a query string into the types of the schema, then checks them. */
export function queryChecker(schema: TObject): Checker<unknown> {
  const compiled = TypeCompiler.Compile(schema)
  const kinds = Object.entries(schema.properties).map(([name, property]) => [name, kindOf(property)] as const)
  return (raw) => {
    const texts = raw as ReadonlyMap<string, readonly string[]>
    const query: { [name: string]: unknown } = Object.create(null)
    for (const [name, kind] of kinds) {
      const values = texts.get(name)
      if (values !== undefined) query[name] = kind === 'array' ? values : fromText(values.at(-1)!, kind)
    }
    if (compiled.Check(query)) return query
    throw queryError(compiled.Errors(query).First())
  }
}

/** Applies the parsers of path parameters. */
export function paramsChecker(parsers: {
  readonly [name: string]: ((text: string) => string | undefined) | undefined
}): Checker<Record<string, string>> {
  const entries = Object.entries(parsers)
  return (params) => {
    for (const [name, parse] of entries) {
      if (parse !== undefined && parse(params[name] ?? '') === undefined) {
        throw new MatrixError('M_INVALID_PARAM', `The ${name} in the path is not valid`)
      }
    }
    return params
  }
}

type Kind = 'text' | 'number' | 'boolean' | 'array'

function kindOf(schema: TSchema): Kind {
  if (schema.type === 'integer' || schema.type === 'number') return 'number'
  if (schema.type === 'boolean') return 'boolean'
  return schema.type === 'array' ? 'array' : 'text'
}

/** A text of another type stays a text, and so fails the check. */
function fromText(text: string, kind: Kind): unknown {
  if (kind === 'number') return /^-?\d{1,16}$/.test(text) ? Number(text) : text
  if (kind === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  return text
}

function bodyError(error: ValueError | undefined): MatrixError {
  const path = error?.path.slice(1).replaceAll('/', '.') ?? ''
  if (error?.type === ValueErrorType.ObjectRequiredProperty) {
    return new MatrixError('M_MISSING_PARAM', `Missing: ${path}`)
  }
  return new MatrixError('M_BAD_JSON', path === '' ? 'The body must be an object' : `Not valid: ${path}`)
}

function queryError(error: ValueError | undefined): MatrixError {
  const name = error?.path.slice(1) ?? ''
  return error?.type === ValueErrorType.ObjectRequiredProperty
    ? new MatrixError('M_MISSING_PARAM', `Missing query parameter: ${name}`)
    : new MatrixError('M_INVALID_PARAM', `Not a valid query parameter: ${name}`)
}
