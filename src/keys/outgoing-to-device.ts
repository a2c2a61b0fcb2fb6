import type { Context } from '../context.ts'
import { type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { MAX_EVENT_BYTES } from '../matrix/limits.ts'
import type { OutgoingToDeviceRow } from '../storage/outgoing-to-device.ts'
import type { Messages } from './send-to-device.ts'

/** Bytes of the messages that go into one EDU; servers refuse those that are larger than an event. */
const mostBytes = MAX_EVENT_BYTES - 4096

type Packet = { readonly users: Map<UserId, string[]>; bytes: number }

/**
 * The messages of one request for users of other servers, packed into EDUs. Whoever receives one twice knows it by its id.
 *
 * Spec: Server-Server API, "Send-to-device messaging", `m.direct_to_device` (v1.19).
 */
export function outgoingToDevice(
  ctx: Pick<Context, 'domains' | 'random' | 'remoteServers'>,
  sender: UserId,
  type: string,
  messages: Messages,
): Omit<OutgoingToDeviceRow, 'position'>[] {
  const origin = serverNameOf(sender)
  if (!ctx.domains.isLocal(origin)) return []
  const byServer = new Map<ServerName, Packet[]>()
  for (const [userId, devices] of messages) {
    const server = serverNameOf(userId)
    // What cannot be sent must not wait for ever.
    if (ctx.domains.isLocal(server) || !ctx.remoteServers.current.reaches(server)) continue
    const packets = byServer.get(server) ?? []
    byServer.set(server, packets)
    for (const [deviceId, content] of devices) {
      const text = `${JSON.stringify(deviceId)}:${JSON.stringify(content)}`
      const bytes = Buffer.byteLength(text) + userId.length
      let packet = packets.at(-1)
      if (!packet || packet.bytes + bytes > mostBytes) packets.push((packet = { users: new Map(), bytes: 0 }))
      packet.bytes += bytes
      packet.users.set(userId, [...(packet.users.get(userId) ?? []), text])
    }
  }
  return [...byServer].flatMap(([server, packets]) =>
    packets.map(({ users }) => {
      const named = [...users].map(([userId, texts]) => `${JSON.stringify(userId)}:{${texts.join(',')}}`)
      const head = { sender, type, message_id: ctx.random.token(18) }
      const content = `${JSON.stringify(head).slice(0, -1)},"messages":{${named.join(',')}}}`
      return { origin, server_name: server, content }
    }),
  )
}
