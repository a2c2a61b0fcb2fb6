import type { Config } from '../config.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { Json, JsonObject } from '../matrix/json.ts'
import { parseJsonBytes } from '../matrix/strict-json.ts'
import { createOutgoing } from '../net/outgoing.ts'

/** A name as clients give it, of a server that the operator lists. */
export type IdentityServer = { readonly name: string; readonly url: URL }

export type IdentityAnswer = { readonly status: number; readonly body: JsonObject | undefined }

/** The identity servers that the operator lists (`mail.identity_servers`); no other is ever talked to. */
export type IdentityServers = {
  /** The address of the first one, as clients are told it; not one that is listed with an address of the operator's own. */
  readonly forClients: string | undefined
  /** @returns undefined for a server that is not listed. */
  find(name: string): IdentityServer | undefined
  /** @throws MatrixError M_SERVER_NOT_TRUSTED for a server that is not listed. */
  get(name: string): IdentityServer
  /**
   * What a server answers, whatever its status. `path` is what comes after `/_matrix/identity/v2`.
   *
   * @throws MatrixError M_CONNECTION_FAILED when it does not.
   */
  ask(
    server: IdentityServer,
    request: {
      readonly method: 'GET' | 'POST'
      readonly path: string
      readonly body?: JsonObject
      readonly authorization: string
    },
  ): Promise<IdentityAnswer>
  close(): Promise<void>
}

export const identityPath = '/_matrix/identity/v2'

/** Milliseconds: somebody waits for the answer. */
const patience = 20_000
const maxAnswerBytes = 64 * 1024

export function createIdentityServers(config: Pick<Config, 'mail'>): IdentityServers {
  const outgoing = createOutgoing()
  const listed = new Map(
    config.mail.identity_servers.map((text) => {
      const url = new URL(/^https?:\/\//.test(text) ? text : `https://${text}`)
      return [url.host, { name: url.host, url }] as const
    }),
  )
  const first = config.mail.identity_servers.find((text) => !text.includes('://'))
  const find = (name: string) => listed.get(name.toLowerCase())
  return {
    forClients: first === undefined ? undefined : `https://${first}`,
    find,
    get(name) {
      const server = find(name)
      if (!server) throw new MatrixError('M_SERVER_NOT_TRUSTED', 'This identity server is not used here')
      return server
    },
    async ask({ url }, { method, path, body, authorization }) {
      try {
        const answer = await outgoing.send({
          method,
          url: new URL(identityPath + path, url),
          headers: { authorization },
          timeout: patience,
          maxBytes: maxAnswerBytes,
          ...(body && { body: JSON.stringify(body) }),
        })
        return { status: answer.status, body: objectIn(answer.body) }
      } catch {
        throw new MatrixError('M_CONNECTION_FAILED', 'The identity server does not answer')
      }
    },
    close: () => outgoing.close(),
  }
}

function objectIn(bytes: Buffer): JsonObject | undefined {
  let json: Json
  try {
    json = parseJsonBytes(bytes, { integers: 'any' })
  } catch {
    return undefined
  }
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : undefined
}

/** The error that an answer carries, if it is one of Matrix. */
export function errorIn({ body }: IdentityAnswer): { readonly errcode: string; readonly error: string } | undefined {
  const { errcode, error } = body ?? {}
  if (typeof errcode !== 'string' || !/^[A-Z][A-Z0-9_.]{1,99}$/.test(errcode)) return undefined
  return { errcode, error: typeof error === 'string' ? error.slice(0, 500) : 'The identity server refuses' }
}
