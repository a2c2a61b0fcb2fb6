import { Type } from '@sinclair/typebox'
import type { Endpoint } from '../../src/http/endpoint.ts'
import { rawJson } from '../../src/http/response.ts'
import { claimKeys } from '../../src/keys/claim-keys.ts'
import { queryKeys } from '../../src/keys/query-keys.ts'
import { MatrixError } from '../../src/matrix/errors.ts'
import { parseUserId, serverNameOf, type UserId } from '../../src/matrix/ids.ts'
import type { Json, JsonObject } from '../../src/matrix/json.ts'
import type { Federation } from '../federation.ts'
import { federationEndpoint } from './federation-endpoint.ts'

/** Users asked about at once. */
const mostUsers = 1_000
/** Nobody of ours: who asks over federation sees no signatures but the owners'. */
const nobody = { userId: '@:', userNid: 0 } as const

/** Spec: Server-Server API, "End-to-End Encryption" (v1.19). Of our own users only, whoever else is asked for. */
export function endToEndKeys(federation: Federation): Endpoint[] {
  const { ctx } = federation
  const ours = (value: Json | undefined): [UserId, Json][] => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new MatrixError('M_BAD_JSON', 'Expected an object by user')
    }
    const entries = Object.entries(value as JsonObject) as [string, Json][]
    if (entries.length > mostUsers) throw new MatrixError('M_INVALID_PARAM', 'Too many users')
    return entries.filter((entry): entry is [UserId, Json] => {
      const userId = parseUserId(entry[0])
      return userId !== undefined && ctx.domains.isLocal(serverNameOf(userId))
    })
  }
  return [
    federationEndpoint(federation, {
      method: 'post',
      path: '/_matrix/federation/v1/user/keys/query',
      async handle({ body }) {
        const wanted = ours(body.device_keys).map(([userId, devices]) => [userId, textsIn(devices)] as const)
        return rawJson([await queryKeys(ctx, nobody, new Map(wanted), 0)])
      },
    }),
    federationEndpoint(federation, {
      method: 'post',
      path: '/_matrix/federation/v1/user/keys/claim',
      async handle({ body, destination }) {
        const wanted = ours(body.one_time_keys).map(([userId, devices]) => [userId, algorithmsIn(devices)] as const)
        return rawJson([await claimKeys(ctx, new Map(wanted), 0, destination)])
      },
    }),
    federationEndpoint(federation, {
      method: 'get',
      path: '/_matrix/federation/v1/user/devices/{userId}',
      params: { userId: parseUserId },
      query: Type.Object({}),
      async handle({ params }) {
        const userId = params.userId as UserId
        if (!ctx.domains.isLocal(serverNameOf(userId))) throw new MatrixError('M_NOT_FOUND', 'No such user')
        const answer = JSON.parse(await queryKeys(ctx, nobody, new Map([[userId, []]]), 0)) as JsonObject
        const of = (name: string): Json | undefined => {
          const byUser = answer[name] as JsonObject
          return Object.hasOwn(byUser, userId) ? byUser[userId] : undefined
        }
        const devices = Object.entries((of('device_keys') ?? {}) as JsonObject) as [string, JsonObject][]
        const [master, selfSigning] = [of('master_keys'), of('self_signing_keys')]
        return {
          user_id: userId,
          stream_id: ctx.stream.position,
          devices: devices.map(([deviceId, keys]) => ({ device_id: deviceId, keys })),
          ...(master !== undefined && { master_key: master }),
          ...(selfSigning !== undefined && { self_signing_key: selfSigning }),
        }
      },
    }),
  ]
}

function textsIn(value: Json): string[] {
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []
}

function algorithmsIn(value: Json): Map<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Map()
  const entries = Object.entries(value as JsonObject)
  return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}
