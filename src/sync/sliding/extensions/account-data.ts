import { isDeleted } from '../../../account-data/account-data.ts'
import type { Context } from '../../../context.ts'
import { accountDataSince } from '../../../storage/sliding-sync.ts'
import type { Extension, ExtensionCall } from './extension.ts'

type Entry = { readonly room: number; readonly type: string; readonly content: string }

/** Spec: MSC3959. */
export const accountData: Extension = {
  name: 'account_data',
  ofRooms: true,
  async answer(ctx, call) {
    const { session, since, rooms } = call
    const entries = await load(ctx, call)
    const told = new Map(rooms.map(({ room, after }) => [room.userRoom.room, { roomId: room.userRoom.roomId, after }]))
    const global: string[] = []
    const byRoom = new Map<string, string[]>()
    for (const { room, type, content } of entries) {
      const value = room === 0 && type === 'm.push_rules' ? ctx.pushRules.text(session.userId, content) : content
      const text = `{"content":${value},"type":${JSON.stringify(type)}}`
      const { roomId, after } = told.get(room) ?? { roomId: undefined, after: since }
      if (after === undefined && isDeleted(ctx, { type, content })) continue
      if (room === 0) global.push(text)
      else if (roomId !== undefined) byRoom.set(roomId, [...(byRoom.get(roomId) ?? []), text])
    }
    const hasRules = entries.some(({ room, type }) => room === 0 && type === 'm.push_rules')
    if (since === undefined && !hasRules) {
      global.push(`{"content":${ctx.pushRules.text(session.userId, undefined)},"type":"m.push_rules"}`)
    }
    const texts = [...byRoom].map(([roomId, events]) => `${JSON.stringify(roomId)}:[${events.join(',')}]`)
    const text = `{"global":[${global.join(',')}],"rooms":{${texts.join(',')}}}`
    return { text, isNews: global.length + texts.length > 0 }
  },
}

/** From memory where it goes back far enough, the rest in one statement. */
async function load(ctx: Pick<Context, 'database'>, call: ExtensionCall): Promise<Entry[]> {
  const { session, upTo } = call
  const latest = new Map<string, Entry>()
  const cold: { room: number; after: number }[] = []
  const warm = new Map<number, number>()
  const spans = [
    { room: 0, after: call.since },
    ...call.rooms.map(({ room, after }) => ({ room: room.userRoom.room, after })),
  ]
  for (const { room, after } of spans) {
    if (after === undefined || after < session.completeAfter) cold.push({ room, after: after ?? -1 })
    else warm.set(room, after)
  }
  for (const fact of session.accountData) {
    const after = warm.get(fact.room)
    if (after === undefined || fact.position <= after || fact.position > upTo) continue
    latest.set(`${fact.room} ${fact.type}`, fact)
  }
  if (cold.length === 0) return [...latest.values()]
  const rows = await ctx.database.read(accountDataSince, [
    session.userNid,
    cold.map(({ room }) => room),
    cold.map(({ after }) => after),
    upTo,
  ])
  return [...latest.values(), ...rows]
}
