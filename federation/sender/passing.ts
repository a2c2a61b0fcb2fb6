import type { RoomId, UserId } from '../../src/matrix/ids.ts'
import type { JsonObject } from '../../src/matrix/json.ts'

/** What is worth telling soon or not at all. */
export type PassingNews =
  | { readonly type: 'm.receipt'; readonly room: RoomId; readonly user: UserId; readonly receipt: Receipt }
  | { readonly type: 'm.typing'; readonly room: RoomId; readonly user: UserId; readonly typing: boolean }
  | { readonly type: 'm.presence'; readonly user: UserId; readonly presence: JsonObject }

type Receipt = { readonly eventId: string; readonly ts: number; readonly threadId: string }

const mostWaiting = 1_000

/** What waits to be told to a server: of what only the last word counts, that alone. */
export class Passing {
  readonly #waiting = new Map<string, PassingNews>()

  get size(): number {
    return this.#waiting.size
  }

  /** What is told then already is left out where too much waits. */
  add(news: PassingNews): void {
    const key = keyOf(news)
    // It takes its turn anew: what is under way may be the former word.
    this.#waiting.delete(key)
    if (this.#waiting.size < mostWaiting) this.#waiting.set(key, news)
  }

  first(count: number): readonly PassingNews[] {
    return [...this.#waiting.values()].slice(0, count)
  }

  /** They have been told. What was said anew since has not. */
  remove(told: readonly PassingNews[]): void {
    for (const news of told) if (this.#waiting.get(keyOf(news)) === news) this.#waiting.delete(keyOf(news))
  }

  clear(): void {
    this.#waiting.clear()
  }
}

function keyOf(news: PassingNews): string {
  switch (news.type) {
    case 'm.receipt':
      return JSON.stringify([news.type, news.room, news.user, news.receipt.threadId])
    case 'm.typing':
      return JSON.stringify([news.type, news.room, news.user])
    case 'm.presence':
      return JSON.stringify([news.type, news.user])
  }
}

/**
 * As few EDUs as can say it: all presence is in one, and receipts are in one as far as no user has two in a room.
 *
 * Spec: Server-Server API, "Typing Notifications", "Presence", "Receipts" (v1.19).
 */
export function edusOf(passing: readonly PassingNews[]): JsonObject[] {
  const receipts: { [room: string]: { 'm.read': { [user: string]: JsonObject } } }[] = []
  const push: JsonObject[] = []
  const edus: JsonObject[] = []
  for (const news of passing) {
    if (news.type === 'm.typing') {
      const content = { room_id: news.room, user_id: news.user, typing: news.typing }
      edus.push({ edu_type: news.type, content })
    } else if (news.type === 'm.presence') push.push({ user_id: news.user, ...news.presence })
    else {
      let content = receipts.find((one) => one[news.room]?.['m.read'][news.user] === undefined)
      if (!content) receipts.push((content = {}))
      const { eventId, ts, threadId } = news.receipt
      const data = { ts, ...(threadId !== '' && { thread_id: threadId }) }
      content[news.room] ??= { 'm.read': {} }
      content[news.room]!['m.read'][news.user] = { event_ids: [eventId], data }
    }
  }
  if (push.length > 0) edus.push({ edu_type: 'm.presence', content: { push } })
  return [...edus, ...receipts.map((content) => ({ edu_type: 'm.receipt', content }))]
}
