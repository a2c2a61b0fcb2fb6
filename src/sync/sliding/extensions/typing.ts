import type { Extension } from './extension.ts'

/** Spec: MSC3961. */
export const typing: Extension = {
  name: 'typing',
  ofRooms: true,
  async answer(ctx, { session, rooms, typingSince }) {
    const texts = rooms.flatMap(({ room: { userRoom }, after }) => {
      const current = userRoom.membership === 'join' ? ctx.typing.in(userRoom.room) : undefined
      if (!current) return []
      const userIds = current.userIds.filter((userId) => !session.ignored.has(userId))
      // Where the client has nothing, that nobody types is no news.
      if (after === undefined ? userIds.length === 0 : current.counter <= typingSince) return []
      const content = JSON.stringify({ user_ids: userIds })
      return [`${JSON.stringify(userRoom.roomId)}:{"type":"m.typing","content":${content}}`]
    })
    return { text: `{"rooms":{${texts.join(',')}}}`, isNews: texts.length > 0 }
  },
}
