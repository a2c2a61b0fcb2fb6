import type { RoomId, ServerName, UserId } from '../../matrix/ids.ts'
import type { RequiredState } from './required-state.ts'

/** A request of either form, as the engine sees it. */
export type SlidingRequest = {
  readonly reader: {
    readonly userId: UserId
    readonly userNid: number
    readonly deviceId: string
    readonly domain: ServerName
  }
  /** Distinguishes the connections of a device. */
  readonly connId: string
  readonly pos: string | undefined
  readonly lists: ReadonlyMap<string, ListRequest>
  readonly subscriptions: ReadonlyMap<RoomId, RoomRequest>
  readonly extensions: ExtensionRequests
}

export type RoomRequest = { readonly timelineLimit: number; readonly required: RequiredState }

export type ListRequest = RoomRequest & {
  /** Both ends included; undefined: all rooms. */
  readonly ranges: readonly (readonly [first: number, last: number])[] | undefined
  readonly filters: ListFilters | undefined
}

/** Every filter that is given must let a room through. */
export type ListFilters = {
  readonly is_dm?: boolean | null
  readonly spaces?: readonly string[] | null
  readonly is_encrypted?: boolean | null
  readonly is_invited?: boolean | null
  readonly room_types?: readonly (string | null)[] | null
  readonly not_room_types?: readonly (string | null)[] | null
  readonly room_name_like?: string | null
  readonly tags?: readonly string[] | null
  readonly not_tags?: readonly string[] | null
}

/** What a request says to one extension: all that is in its object, checked by the extension. */
export type ExtensionRequests = { readonly [name: string]: unknown }
