import { formatSyncToken, formatTimelineToken } from '../token.ts'
import type { SlidingAnswer } from './answer.ts'
import type { RoomResult } from './room-data.ts'

/** An answer in the form of `org.matrix.simplified_msc3575`, as pieces of JSON text. */
export function unstableForm(answer: SlidingAnswer): string[] {
  const lists = [...answer.counts].map(([name, count]) => `${JSON.stringify(name)}:{"count":${count}}`)
  return [
    `{"pos":"${formatSyncToken(answer.token)}","lists":{${lists.join(',')}},"rooms":{`,
    answer.rooms.map((room) => `${JSON.stringify(room.roomId)}:{${roomFields(room).join(',')}}`).join(','),
    `},"extensions":{${extensionFields(answer)}}}`,
  ]
}

export function extensionFields({ extensions }: SlidingAnswer): string {
  return [...extensions].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')
}

function roomFields(room: RoomResult): string[] {
  const fields = commonFields(room)
  if (room.isExpanded) fields.push('"unstable_expanded_timeline":true')
  if (room.stripped) {
    // Clients read it here whichever it is, and tell them apart by the reader's membership in it.
    fields.push(`"invite_state":[${room.stripped.join(',')}]`)
    if (room.membership === 'knock') fields.push(`"knock_state":[${room.stripped.join(',')}]`)
    return fields
  }
  if (room.timeline.length > 0) fields.push(`"timeline":[${room.timeline.join(',')}]`)
  if (room.required.length > 0) fields.push(`"required_state":[${room.required.join(',')}]`)
  if (room.counts) fields.push(unreadFields(room.counts.all))
  return fields
}

/** The fields that have the same names in both forms. */
export function commonFields(room: RoomResult): string[] {
  const fields: string[] = []
  const add = (name: string, value: unknown): void => {
    if (value !== undefined) fields.push(`"${name}":${JSON.stringify(value)}`)
  }
  if (room.initial) add('initial', true)
  add('bump_stamp', room.bumpStamp)
  add('is_dm', room.isDirect)
  if (room.stripped) return fields
  add('name', room.name)
  add('avatar', room.avatar)
  add('heroes', room.heroes)
  add('prev_batch', room.prevBatch === undefined ? undefined : formatTimelineToken(room.prevBatch))
  add('limited', room.limited)
  add('num_live', room.live)
  add('joined_count', room.counts?.joined)
  add('invited_count', room.counts?.invited)
  return fields
}

export function unreadFields({ notify, highlight }: { readonly notify: number; readonly highlight: number }): string {
  return `"notification_count":${notify},"highlight_count":${highlight}`
}
