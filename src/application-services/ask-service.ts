import type { JsonObject } from '../matrix/json.ts'
import { parseJsonBytes } from '../matrix/strict-json.ts'
import { createOutgoing, type OutgoingAnswer } from '../net/outgoing.ts'
import type { ApplicationService } from './registration.ts'

export type ServiceAnswer = { readonly status: number; readonly text: string; readonly json: unknown }

/** The one way by which application services are asked. */
export type ServiceClient = {
  /**
   * Asks at the current path, and where a service does not know it, at the one of earlier drafts.
   *
   * Spec: Application Service API, "Authorisation", "Legacy routes" (v1.19).
   *
   * @throws Error when there is no answer.
   */
  ask(service: ApplicationService, request: ServiceRequest): Promise<ServiceAnswer>
  close(): Promise<void>
}

export type ServiceRequest = {
  readonly method: 'GET' | 'PUT' | 'POST'
  /** With its query. */
  readonly path: string
  readonly legacyPath?: string
  /** JSON text. */
  readonly body?: string
  /** Milliseconds. */
  readonly timeout?: number
}

const defaultTimeout = 10_000
const maxAnswerBytes = 1024 * 1024

export function createServiceClient(): ServiceClient {
  // The operator wrote down where they are, usually on this machine.
  const outgoing = createOutgoing()

  const exchange = async (service: ApplicationService, path: string, asked: ServiceRequest): Promise<ServiceAnswer> => {
    if (service.url === undefined) throw new Error('the application service has no URL')
    const url = new URL(service.url + path)
    const answer = await outgoing.send({
      method: asked.method,
      url,
      headers: { authorization: `Bearer ${service.hsToken}` },
      timeout: asked.timeout ?? defaultTimeout,
      maxBytes: maxAnswerBytes,
      ...(asked.body !== undefined && { body: asked.body }),
    })
    return { status: answer.status, text: answer.body.toString('utf8'), json: jsonOf(answer) }
  }

  return {
    async ask(service, asked) {
      const answer = await exchange(service, asked.path, asked)
      if (asked.legacyPath === undefined || !isUnknownPath(answer)) return answer
      return exchange(service, asked.legacyPath, asked)
    },
    close: () => outgoing.close(),
  }
}

function jsonOf({ body }: OutgoingAnswer): unknown {
  try {
    return parseJsonBytes(body, { integers: 'any' })
  } catch {
    return undefined
  }
}

/** What a service that knows the path would not say. */
function isUnknownPath({ status, json }: ServiceAnswer): boolean {
  if (status !== 404 && status !== 405 && status !== 501) return false
  const errcode = typeof json === 'object' && json !== null ? (json as JsonObject).errcode : undefined
  return typeof errcode !== 'string' || errcode === 'M_UNRECOGNIZED'
}
