import type { Json, JsonObject } from '../matrix/json.ts'
import type { PusherRow } from '../storage/pushers.ts'
import type { PushedEvent } from './pusher-kinds.ts'

type Device = Pick<PusherRow, 'app_id' | 'pushkey' | 'created_at' | 'data'>

/**
 * What a push gateway is told of an event. With the format `event_id_only` nothing that the event says leaves the server;
 * otherwise its content does only where the operator wants it to.
 *
 * Spec: Push Gateway API, `POST /_matrix/push/v1/notify` (v1.19).
 */
export function notificationOf(pusher: Device, pushed: PushedEvent, options: { content: boolean }): JsonObject {
  const { event, room, userId, outcome, unread } = pushed
  const { eventId, pdu } = event
  const data = dataOf(pusher)
  const common = {
    event_id: eventId,
    room_id: room.roomId,
    counts: { unread },
    prio: priorityOf(pushed),
  }
  if (data.format === 'event_id_only') return { notification: { ...common, devices: [deviceOf(pusher)] } }
  const texts = {
    sender_display_name: room.get('m.room.member', pdu.sender)?.pdu.content.displayname,
    room_name: room.get('m.room.name', '')?.pdu.content.name,
    room_alias: room.get('m.room.canonical_alias', '')?.pdu.content.alias,
  }
  return {
    notification: {
      ...common,
      type: pdu.type,
      sender: pdu.sender,
      ...textsOf(texts),
      ...(pdu.type === 'm.room.member' && { user_is_target: pdu.state_key === userId }),
      ...(pdu.type === 'm.room.member' && membershipOf(pdu.content)),
      ...(options.content && { content: pdu.content }),
      devices: [{ ...deviceOf(pusher), tweaks: outcome.tweaks }],
    },
  }
}

/** What a push gateway is told when the number of what is unread changed and nothing else happened. */
export function unreadNotificationOf(pusher: Device, unread: number): JsonObject {
  return { notification: { counts: { unread }, devices: [deviceOf(pusher)] } }
}

/** The client's own `data` without the address, as the gateway gets it. */
function deviceOf(pusher: Device): JsonObject {
  const { url: _url, ...data } = dataOf(pusher)
  return {
    app_id: pusher.app_id,
    pushkey: pusher.pushkey,
    pushkey_ts: Math.floor(pusher.created_at / 1000),
    data,
  }
}

function dataOf({ data }: Device): JsonObject {
  return JSON.parse(data) as JsonObject
}

/** What may wake a device: what cannot be read here, and what makes a sound or is highlighted. */
function priorityOf({ event, outcome }: PushedEvent): 'high' | 'low' {
  const isEncrypted = event.pdu.type === 'm.room.encrypted'
  return isEncrypted || outcome.highlight || outcome.sound !== undefined ? 'high' : 'low'
}

function membershipOf(content: JsonObject): JsonObject {
  return typeof content.membership === 'string' ? { membership: content.membership } : {}
}

function textsOf(texts: { readonly [name: string]: Json | undefined }): JsonObject {
  return Object.fromEntries(
    Object.entries(texts).filter((entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== ''),
  )
}
