import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RecordingServer, TestServer } from '../testing/index.ts'

export const asToken = 'as token of the bridge'
export const hsToken = 'hs token of the bridge'

/** A registration file that is gone at the end of the block. */
export function writeRegistration(
  url: string | null,
  over: object = {},
): { readonly config: { readonly app_service_config_files: readonly string[] }; [Symbol.dispose](): void } {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-service-'))
  const file = join(folder, 'bridge.yaml')
  const registration = {
    id: 'bridge',
    url,
    as_token: asToken,
    hs_token: hsToken,
    sender_localpart: 'bridgebot',
    namespaces: {
      users: [{ exclusive: true, regex: '@_ghost_.*' }],
      aliases: [{ exclusive: true, regex: '#_irc_.*' }],
      rooms: [],
    },
    ...over,
  }
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(registration))
  return {
    config: { app_service_config_files: [file] },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true }),
  }
}

/** A request of the service. */
export function asService(
  server: TestServer,
  method: string,
  path: string,
  request: { body?: unknown; query?: { [name: string]: string | number } } = {},
) {
  return server.request(method, `/_matrix/client/v3${path}`, { ...request, token: asToken })
}

export async function registerGhost(server: TestServer, name: string): Promise<`@${string}`> {
  const body = { type: 'm.login.application_service', username: `_ghost_${name}`, inhibit_login: true }
  return (await asService(server, 'post', '/register', { body })).body.user_id
}

/** The events of the transactions until one has this id; what a transaction brings again is left out. */
export async function eventsUntil(service: RecordingServer, eventId: string): Promise<string[]> {
  const seen = new Set<string>()
  const ids: string[] = []
  while (!ids.includes(eventId)) {
    const { path, body } = await service.next()
    if (!path.startsWith('/_matrix/app/v1/transactions/') || seen.has(path)) continue
    seen.add(path)
    for (const event of body.events) ids.push(event.event_id)
  }
  return ids
}
