import type { Answer, TestClient } from './index.ts'

export type MediaResponse = {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly json: Answer
}

/** A request of a media endpoint, whose body and answer are bytes. */
export async function mediaRequest(
  client: Pick<TestClient, 'base'> & { readonly accessToken?: string | undefined },
  method: string,
  path: string,
  options: { body?: unknown; type?: string; headers?: { readonly [name: string]: string } } = {},
): Promise<MediaResponse> {
  const response = await fetch(client.base + path, {
    method,
    headers: {
      ...(client.accessToken !== undefined && { authorization: `Bearer ${client.accessToken}` }),
      ...(options.type !== undefined && { 'content-type': options.type }),
      ...options.headers,
    },
    ...(options.body !== undefined && { body: options.body, duplex: 'half' }),
  } as RequestInit)
  const bytes = Buffer.from(await response.arrayBuffer())
  const isJson = response.headers.get('content-type') === 'application/json'
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    json: isJson ? JSON.parse(String(bytes)) : undefined,
  }
}

/** Uploads, and returns the part of the URI that paths are made of: `a.test/ID`. */
export async function upload(
  client: TestClient,
  body: Buffer | string,
  options: { type?: string; name?: string } = {},
): Promise<string> {
  const query = options.name === undefined ? '' : `?filename=${encodeURIComponent(options.name)}`
  const type = options.type ?? 'application/octet-stream'
  const response = await mediaRequest(client, 'POST', `/_matrix/media/v3/upload${query}`, { body, type })
  if (response.status !== 200) throw new Error(`Upload: ${response.status} ${response.bytes}`)
  return response.json.content_uri.slice('mxc://'.length)
}

export function download(
  client: Parameters<typeof mediaRequest>[0],
  media: string,
  headers: { readonly [name: string]: string } = {},
): Promise<MediaResponse> {
  return mediaRequest(client, 'GET', `/_matrix/client/v1/media/download/${media}`, { headers })
}

export function thumbnailOf(client: TestClient, media: string, query: string): Promise<MediaResponse> {
  return mediaRequest(client, 'GET', `/_matrix/client/v1/media/thumbnail/${media}?${query}`)
}
