import type { Context } from '../../../context.ts'
import type { Session } from '../../sessions.ts'
import type { SlidingPlan, WantedRoom } from '../plan.ts'
import type { SlidingRequest } from '../request.ts'

/** What an extension is asked with. */
export type ExtensionCall = {
  readonly session: Session
  readonly request: SlidingRequest
  /** The extension's own part of the request. */
  readonly asked: { readonly [key: string]: unknown }
  readonly plan: SlidingPlan
  /** The position of the client's token; undefined on the first request of a connection. */
  readonly since: number | undefined
  readonly upTo: number
  /** How far what is only in memory was told: 0 when another process gave out the token. */
  readonly typingSince: number
  /** The rooms the client wants to hear about, and from where on in each: undefined where everything is to be told. */
  readonly rooms: readonly { readonly room: WantedRoom; readonly after: number | undefined }[]
  /** The position before the oldest event of its timeline that is told of a room, where the client has nothing of it yet. */
  timelineStart(room: number): Promise<number | undefined>
  /** The numbers of the events that the answer tells in the timelines, by room. */
  shownEvents(): Promise<ReadonlyMap<number, ReadonlySet<number>>>
}

/** What an extension tells: JSON text; `isNews` when it is worth ending a wait for. */
export type ExtensionAnswer = { readonly text: string; readonly isNews: boolean } | undefined

/**
 * A section of a sliding sync under `extensions`. Adding one is a file with such a value, and its line in `index.ts`.
 */
export type Extension = {
  readonly name: string
  /** Tells about rooms, each from its beginning to a client that had not asked for the extension before. */
  readonly ofRooms: boolean
  answer(ctx: Context, call: ExtensionCall): Promise<ExtensionAnswer>
}
