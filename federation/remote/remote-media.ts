import { MatrixError } from '../../src/matrix/errors.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import type { RemoteContent, RemoteMedia } from '../../src/media/ports.ts'
import type { Federation } from '../federation.ts'
import type { RemoteStream } from './client.ts'
import { filenameOf } from './content-disposition.ts'
import { boundaryOf, secondPart } from './multipart.ts'

type Options = { readonly asker: ServerName; readonly timeout: number; readonly maxBytes: number }

/** Media of other servers, signed for, and of those that do not know that yet, as everybody gets them. */
export function createRemoteMedia({ client }: Pick<Federation, 'client'>): RemoteMedia {
  return {
    async fetch(server, mediaId, options) {
      try {
        return (
          (await fetchSigned(client, server, mediaId, options)) ?? (await fetchLegacy(client, server, mediaId, options))
        )
      } catch (error) {
        // Who cannot be reached and who may not be reached have nothing for us.
        if (error instanceof MatrixError && error.errcode !== 'M_TOO_LARGE') return undefined
        throw error
      }
    },
  }
}

/**
 * Spec: Server-Server API, `GET /_matrix/federation/v1/media/download/{mediaId}` (v1.19).
 *
 * @returns undefined from a server that does not know the operation.
 */
async function fetchSigned(
  client: Federation['client'],
  server: ServerName,
  mediaId: string,
  { asker, timeout, maxBytes }: Options,
): Promise<RemoteContent | undefined> {
  const uri = `/_matrix/federation/v1/media/download/${encodeURIComponent(mediaId)}?timeout_ms=${timeout}`
  const answer = await client.stream(server, { method: 'GET', uri, origin: asker, timeout })
  const boundary = boundaryOf(textOf(answer.headers['content-type']))
  if (answer.status !== 200 || boundary === undefined) {
    answer.body.destroy()
    return undefined
  }
  try {
    const { headers, content } = await secondPart(answer.body, boundary)
    const location = headers.get('location')
    if (location === undefined) {
      return contentOf(content, maxBytes, headers.get('content-type'), headers.get('content-disposition'))
    }
    answer.body.destroy()
    return await fetchFrom(client, location, timeout, maxBytes)
  } catch (error) {
    answer.body.destroy()
    throw error instanceof MatrixError ? error : unreadable()
  }
}

/** Where a server keeps its media elsewhere. */
async function fetchFrom(
  client: Federation['client'],
  location: string,
  timeout: number,
  maxBytes: number,
): Promise<RemoteContent | undefined> {
  if (!URL.canParse(location)) return undefined
  return contentOfAnswer(await client.streamFrom(new URL(location), timeout), maxBytes)
}

/** Spec: Client-Server API, `GET /_matrix/media/v3/download/{serverName}/{mediaId}`, deprecated (v1.19). */
async function fetchLegacy(
  client: Federation['client'],
  server: ServerName,
  mediaId: string,
  { timeout, maxBytes }: Options,
): Promise<RemoteContent | undefined> {
  const path = `${encodeURIComponent(server)}/${encodeURIComponent(mediaId)}`
  const uri = `/_matrix/media/v3/download/${path}?allow_remote=false&timeout_ms=${timeout}`
  return contentOfAnswer(await client.stream(server, { method: 'GET', uri, timeout }), maxBytes)
}

function contentOfAnswer({ status, headers, body }: RemoteStream, maxBytes: number): RemoteContent | undefined {
  if (status !== 200) {
    body.destroy()
    return undefined
  }
  return contentOf(body, maxBytes, textOf(headers['content-type']), textOf(headers['content-disposition']))
}

function contentOf(
  content: AsyncIterable<Buffer>,
  maxBytes: number,
  contentType: string | undefined,
  disposition: string | undefined,
): RemoteContent {
  return { content: limited(content, maxBytes), contentType, filename: filenameOf(disposition) }
}

async function* limited(content: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let length = 0
  try {
    for await (const chunk of content) {
      length += chunk.length
      if (length > maxBytes) throw new MatrixError('M_TOO_LARGE', 'The content is too large to serve', { status: 502 })
      yield chunk
    }
  } catch (error) {
    throw error instanceof MatrixError ? error : unreadable()
  }
}

function unreadable(): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', 'The media cannot be read')
}

function textOf(header: string | string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.[0]
}
