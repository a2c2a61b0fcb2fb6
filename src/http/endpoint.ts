import type { Static, TObject, TSchema } from '@sinclair/typebox'
import type { Request, Response } from 'express'
import type { Requester } from '../accounts/requesters.ts'
import type { Config, RateLimitKind } from '../config.ts'
import type { Context } from '../context.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { JsonObject } from '../matrix/json.ts'
import { type Authenticate, type AuthMode, clientAuthentication } from './authentication.ts'
import { bodyChecker, type Checker, paramsChecker, queryChecker } from './validation.ts'

export type Method = 'get' | 'put' | 'post' | 'delete'

type ParamNames<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamNames<Rest>
  : never
type NamesIn<Path> = Path extends readonly string[] ? ParamNames<Path[number]> : ParamNames<Path & string>

/** Turns the decoded text of a path parameter into an identifier; `undefined` when it is none. */
export type ParamParser = (text: string) => string | undefined

type RequesterOf<Auth extends AuthMode> = Auth extends 'none'
  ? undefined
  : Auth extends 'optional'
    ? Requester | undefined
    : Requester

/** What a handler is given. */
export type Call<Params, Query, Body, Who> = {
  readonly params: Params
  readonly query: Query
  readonly body: Body
  readonly requester: Who
  /** The requester's domain; before there is one, the domain that the request's host asks for. */
  readonly domain: ServerName
  /** Where the request comes from, past trusted proxies. */
  readonly address: string
  readonly request: Request
  readonly response: Response
}

export type AnyCall = Call<Record<string, string>, unknown, unknown, unknown>

/** What an endpoint says about itself besides its types. */
type Options = {
  readonly method: Method
  /** Whether there is such an endpoint in this configuration; without it there is. */
  readonly when?: (config: Config) => boolean
  /** Refuses more requests than the kind's bucket holds, counted by user or by address. */
  readonly rateLimit?: { readonly kind: RateLimitKind; readonly by: 'user' | 'address' }
  /** Bytes; a longer body is refused before it is read. */
  readonly bodyLimit?: number
  /** An absent body stands for an empty object also in a PUT. */
  readonly mayLackBody?: boolean
  /** The handler reads the request itself, whatever its type. */
  readonly raw?: boolean
  /** `any` lets floats through: for data that is stored and never signed. */
  readonly integers?: 'strict' | 'any'
  /** Served to locked users too: client-server API, "Account locking". */
  readonly whileLocked?: boolean
  /** Surrounds everything that is done about a request, authentication included; what it throws is answered. */
  readonly around?: (
    ctx: Context,
    request: { readonly request: Request; readonly address: string },
    work: () => Promise<unknown>,
  ) => Promise<unknown>
  /** Served to suspended users too; reading is by default: client-server API, "Account suspension". */
  readonly whileSuspended?: boolean
}

type Declaration<Path, Auth extends AuthMode, Params, Query extends TObject, Body extends TSchema> = Options & {
  /** With `{name}` for parameters. A parameter that an alias lacks is the empty text there. */
  readonly path: Path
  readonly auth: Auth
  readonly params?: Params
  readonly query?: Query
  readonly body?: Body
  handle(
    ctx: Context,
    call: Call<
      { readonly [Name in NamesIn<Path>]: Name extends keyof Params ? Parsed<Params[Name]> : string },
      Static<Query>,
      Static<Body>,
      RequesterOf<Auth>
    >,
  ): unknown
}

type Parsed<Parser> = Parser extends (text: string) => infer Result ? Exclude<Result, undefined> : string

/** An endpoint as the router sees it: its types are erased, its checks compiled. */
export type Endpoint = Options & {
  /** The method and the first of the paths: how logs, metrics and the audit trail call it. */
  readonly operation: string
  readonly paths: readonly string[]
  /** The parameters of all the paths. */
  readonly paramNames: readonly string[]
  readonly authenticate: Authenticate
  readonly checkParams: Checker<Record<string, string>> | undefined
  readonly checkQuery: Checker<unknown> | undefined
  readonly checkBody: Checker<unknown> | undefined
  handle(ctx: Context, call: AnyCall): unknown
}

/**
 * Declares an operation of the client-server API. The types of the handler's parameters follow from the literal.
 *
 * A handler returns the object to answer with, a `RawJson` or `Reply`, or `undefined` when it has written the response
 * itself.
 */
export function endpoint<
  const Path extends string | readonly string[],
  Auth extends AuthMode,
  // biome-ignore lint/complexity/noBannedTypes: no parsers
  const Params extends { readonly [Name in NamesIn<Path>]?: ParamParser } = {},
  Query extends TObject = TObject,
  Body extends TSchema = TSchema & { static: JsonObject },
>(declaration: Declaration<Path, Auth, Params, Query, Body>): Endpoint {
  return defineEndpoint(declaration, clientAuthentication(declaration))
}

/** `endpoint` for another API, which authenticates otherwise. */
export function defineEndpoint(
  declaration: Options & {
    readonly path: string | readonly string[]
    readonly params?: { readonly [name: string]: ParamParser | undefined }
    readonly query?: TObject
    readonly body?: TSchema
    handle(ctx: Context, call: never): unknown
  },
  authenticate: Authenticate,
): Endpoint {
  const { path, params, query, body, handle, ...options } = declaration
  const paths = typeof path === 'string' ? [path] : path
  return {
    ...options,
    operation: `${options.method.toUpperCase()} ${paths[0]}`,
    paths,
    paramNames: [...new Set(paths.flatMap((one) => [...one.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!)))],
    authenticate,
    checkParams: params && paramsChecker(params),
    checkQuery: query && queryChecker(query),
    checkBody: body && bodyChecker(body),
    handle: handle as Endpoint['handle'],
  }
}
