import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Ajv2020, type AnySchemaObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { parse } from 'yaml'

const dataFolder = join(import.meta.dirname, 'matrix-spec', 'data')

export type Operation = {
  readonly operationId: string
  readonly method: string
  /** With `{name}` for parameters, from the root of the server. */
  readonly path: string
  readonly file: string
  /** The pointer to the operation inside its file. */
  readonly pointer: string
}

type Api = 'client-server' | 'server-server'

/** The operations of an API, as the specification's OpenAPI files list them. */
export function operationsOf(api: Api): readonly Operation[] {
  const folder = join(dataFolder, 'api', api)
  const files = readdirSync(folder).filter((file) => file.endsWith('.yaml'))
  return files.flatMap((file) => operationsIn(join(folder, file)))
}

function operationsIn(file: string): Operation[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  const basePathLine = lines.findIndex((line) => /^\s+basePath:/.test(line))
  const basePath = /default:\s*(\S+)/.exec(lines[basePathLine + 1] ?? '')?.[1] ?? ''
  const operations: Operation[] = []
  let path = ''
  let method = ''
  for (const line of lines) {
    path = /^ {2}"?(\/[^":]*)"?:\s*$/.exec(line)?.[1] ?? path
    method = /^ {4}(get|put|post|delete):\s*$/.exec(line)?.[1] ?? method
    const operationId = /^ {6}operationId:\s*(\S+)/.exec(line)?.[1]
    if (operationId === undefined) continue
    const pointer = `/paths/${path.replaceAll('~', '~0').replaceAll('/', '~1')}/${method}`
    operations.push({ operationId, method, path: basePath + path, file, pointer })
  }
  return operations
}

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false, loadSchema })
const validators = new Map<string, Promise<ValidateFunction | undefined>>()
let clientRoutes: readonly { readonly operation: Operation; readonly pattern: RegExp }[] | undefined

/**
 * Holds an answer of the client-server API to the specification.
 *
 * @returns what is wrong with it; `undefined` when nothing is, or the specification does not know the request.
 */
export async function answerProblem(
  method: string,
  path: string,
  status: number,
  body: unknown,
): Promise<string | undefined> {
  const operation = findOperation(method, path)
  if (operation === undefined) return undefined
  const validate = await validatorOf(operation, status)
  if (validate === undefined || isRefusedToken(status, body)) return undefined
  if (validate(body)) return undefined
  const [error] = validate.errors ?? []
  if (isKnownNull(operation, error?.instancePath) || isStateEvent(operation, error?.keyword)) return undefined
  return `${operation.operationId} answered ${status} with ${error?.instancePath || 'a body'} that ${error?.message}`
}

/** Some schemas know the 401 of interactive authentication alone; whose token is missing or unknown gets another. */
function isRefusedToken(status: number, body: unknown): boolean {
  const { errcode } = body as { errcode?: unknown }
  return status === 401 && (errcode === 'M_MISSING_TOKEN' || errcode === 'M_UNKNOWN_TOKEN')
}

/** A state event is an object too, so it is never exactly one of the two that the schema has. */
function isStateEvent({ operationId }: Operation, keyword: string | undefined): boolean {
  return operationId === 'getRoomStateWithKey' && keyword === 'oneOf'
}

/** Null for members without a name or a picture: clients know it so, and look for the key. */
function isKnownNull({ operationId }: Operation, path: string | undefined): boolean {
  return operationId === 'getJoinedMembersByRoom' && /\/(avatar_url|display_name)$/.test(path ?? '')
}

function findOperation(method: string, path: string): Operation | undefined {
  clientRoutes ??= operationsOf('client-server').map((operation) => ({
    operation,
    pattern: new RegExp(`^${operation.path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]*')}$`),
  }))
  const matches = clientRoutes.filter((route) => route.operation.method === method && route.pattern.test(path))
  // The path without a parameter where another has one is the better match.
  matches.sort((a, b) => countParams(a.operation.path) - countParams(b.operation.path))
  return matches[0]?.operation
}

function countParams(path: string): number {
  return path.split('{').length
}

function validatorOf(operation: Operation, status: number): Promise<ValidateFunction | undefined> {
  const key = `${operation.operationId} ${status}`
  let validator = validators.get(key)
  if (validator === undefined) validators.set(key, (validator = compile(operation, status)))
  return validator
}

async function compile(operation: Operation, status: number): Promise<ValidateFunction | undefined> {
  const document = read(operation.file)
  const responses = at(document, `${operation.pointer}/responses`) as { [status: string]: unknown } | undefined
  const response = responses?.[String(status)] as
    | { content?: { 'application/json'?: { schema?: unknown } } }
    | undefined
  if (response?.content?.['application/json']?.schema === undefined) return undefined
  const pointer = `${operation.pointer}/responses/${status}/content/application~1json/schema`
  return ajv.compileAsync({ $ref: `file://${operation.file}#${encodeURI(pointer)}` })
}

const documents = new Map<string, unknown>()

function read(file: string): unknown {
  let document = documents.get(file)
  if (document === undefined) documents.set(file, (document = plainRefs(parse(readFileSync(file, 'utf8')), file)))
  return document
}

async function loadSchema(uri: string): Promise<AnySchemaObject> {
  return read(new URL(uri).pathname) as AnySchemaObject
}

/** References become absolute, and what only documents is dropped: an example may hold a key named `$ref`. */
function plainRefs(node: unknown, file: string): unknown {
  if (Array.isArray(node)) return node.map((child) => plainRefs(child, file))
  if (typeof node !== 'object' || node === null) return node
  const copy: { [key: string]: unknown } = {}
  for (const [key, value] of Object.entries(node)) {
    if (key === '$ref' && typeof value === 'string') copy.$ref = absolute(value, file)
    else if (key === 'example' && typeof value !== 'object') continue
    else if (key !== 'examples') copy[key] = plainRefs(value, file)
  }
  return copy
}

function absolute(reference: string, file: string): string {
  const [path = '', pointer = ''] = reference.split('#')
  return `file://${path === '' ? file : resolve(dirname(file), path)}#${pointer}`
}

function at(document: unknown, pointer: string): unknown {
  let node = document
  for (const part of pointer.split('/').slice(1)) {
    node = (node as { [key: string]: unknown } | undefined)?.[part.replaceAll('~1', '/').replaceAll('~0', '~')]
  }
  return node
}
