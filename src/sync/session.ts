import { ignoredUsers } from '../account-data/ignored-users.ts'
import type { RoomId, UserId } from '../matrix/ids.ts'
import type {
  AccountDataFact,
  EventFact,
  Fact,
  ReadFact,
  RemoteMembershipFact,
  RoomCompletedFact,
  ToDeviceFact,
} from '../storage/facts.ts'
import { type Membership, membershipOf } from '../storage/room-users.ts'
import type { SessionRow } from '../storage/sessions.ts'
import type { ThreadTally } from './thread-counts.ts'

/** A room in the life of a user, as the stream has told so far. */
export type UserRoom = {
  readonly room: number
  readonly roomId: RoomId
  membership: Membership
  /** Since which position. */
  since: number
  eventNid: number
  forgotten: boolean
  readPosition: number
  readNotifyIndex: number
  readHighlightIndex: number
  /** The position of the last change of what the user has read. */
  readAt: number
  /** Events that count otherwise for this user: summed up at the time of loading, and one by one since. */
  earlier: { notify: number; highlight: number }
  later: { position: number; userNid: number; notify: number; highlight: number }[]
  /** Its members are not all known yet, or came to be at a position: who wants all of them is told the room from there. */
  completed: 'not yet' | number | undefined
  /** Something that everybody was told of it before that turned out to be wrong. */
  isCorrected: boolean
  /** Unread threads; undefined until somebody asks. */
  threads: ThreadTally | undefined
}

/** A user who asked for something lately: rooms, and what happened since. */
export type Session = {
  readonly userId: UserId
  readonly userNid: number
  readonly rooms: Map<number, UserRoom>
  /** The position at which it was read from the database. */
  readonly loadedAt: number
  /** Everything that concerns the user alone and came after this position is here. */
  completeAfter: number
  /** The position of the last thing the user is told that is not of a room. */
  last: number
  /** Something happened that only the database can tell the outcome of: to be loaded again. */
  isStale: boolean
  /** Users of whom the user wants to see nothing. */
  ignored: ReadonlySet<string>
  /** Some device wants to hear of profiles (MSC4429). */
  wantsProfiles: boolean
  /** The position of the last change of the user's thread subscriptions. */
  threadsAt: number
  readonly accountData: AccountDataFact[]
  readonly toDevice: ToDeviceFact[]
  /** Devices that were given messages which they have not acknowledged, and up to which position. */
  readonly delivered: Map<string, number>
  /** Changes of device lists of users who share a room with this one, and of who shares one. */
  readonly deviceLists: { position: number; userNid: number; left: boolean }[]
  readonly waiters: Set<() => void>
}

const recentMax = 200
const nothing = { notify: 0, highlight: 0 }

export function roomsOf(rows: readonly SessionRow[]): Map<number, UserRoom> {
  const rooms = new Map<number, UserRoom>()
  for (const row of rows) {
    if (row.room === null) continue
    rooms.set(row.room, {
      room: row.room,
      roomId: row.room_id,
      membership: membershipOf(row.membership),
      since: row.since,
      eventNid: row.event_nid,
      forgotten: row.forgotten,
      readPosition: row.read_position,
      readNotifyIndex: row.read_notify_index,
      readHighlightIndex: row.read_highlight_index,
      readAt: row.read_position,
      earlier: { notify: row.notify, highlight: row.highlight },
      later: [],
      completed: row.partial ? 'not yet' : (row.completed_at ?? undefined),
      isCorrected: row.corrected ?? false,
      threads: undefined,
    })
  }
  return rooms
}

/** Takes in what the stream tells of the user. Events of others in the user's rooms are in the feeds of the rooms. */
export function applyFact(session: Session, fact: Fact): void {
  if (fact.kind === 'event') applyEvent(session, fact)
  else if (fact.kind === 'roomCompleted') applyCompletion(session, fact)
  else if (fact.kind === 'receipt' || fact.kind === 'outgoingToDevice' || fact.kind === 'profile') return
  else if (fact.userNid !== session.userNid) return
  else if (fact.kind === 'read') applyRead(session, fact)
  else if (fact.kind === 'accountData') {
    remember(session, session.accountData, fact)
    if (fact.room === 0 && fact.type === 'm.ignored_user_list') {
      session.ignored = ignoredUsers(fact.content, session.userId)
    }
  } else if (fact.kind === 'toDevice') remember(session, session.toDevice, fact)
  else if (fact.kind === 'threadSubscription') session.threadsAt = Math.max(session.threadsAt, fact.position)
  else if (fact.kind === 'remoteMembership') applyRemoteMembership(session, fact)
}

export function remember<Entry extends { position: number }>(session: Session, list: Entry[], entry: Entry): void {
  list.push(entry)
  session.last = Math.max(session.last, entry.position)
  if (list.length > recentMax) session.completeAfter = Math.max(session.completeAfter, list.shift()!.position)
}

export function applyException(session: Session, fact: EventFact): void {
  const exception = fact.exceptions?.find(({ userNid }) => userNid === session.userNid)
  if (!exception || fact.position <= session.loadedAt) return
  session.rooms.get(fact.stored.room)?.later.push({ position: fact.position, ...exception })
}

function applyEvent(session: Session, fact: EventFact): void {
  for (const change of fact.memberships) {
    if (change.userNid === session.userNid) applyMembership(session, fact.stored.room, change, fact)
  }
  // Whoever sends has read what came before.
  const room = fact.stored.senderNid === session.userNid ? session.rooms.get(fact.stored.room) : undefined
  if (room && fact.stored.timeline !== null) readUpTo(session, room, fact.position, fact.room, fact.position)
}

function applyRead(session: Session, fact: ReadFact): void {
  const room = session.rooms.get(fact.room)
  if (!room) return
  const { position, threadId, readPosition } = fact
  room.threads?.reads.push({ at: position, threadId, readPosition })
  if (threadId === '' || threadId === 'main') {
    const index = { notifyCount: fact.notifyIndex, highlightCount: fact.highlightIndex }
    readUpTo(session, room, readPosition, index, position)
  }
  room.readAt = Math.max(room.readAt, position)
}

function applyMembership(
  session: Session,
  room: number,
  change: { membership: Membership; eventNid: number },
  fact: EventFact,
): void {
  const known = session.rooms.get(room)
  if (known && known.since >= fact.position) return
  const joins = change.membership === 'join' && known?.membership !== 'join'
  const starts = joins || !known
  session.rooms.set(room, {
    room,
    roomId: fact.roomId as RoomId,
    membership: change.membership,
    since: joins || !known || known.membership !== change.membership ? fact.position : known.since,
    eventNid: change.eventNid,
    forgotten: known?.forgotten === true && (change.membership === 'leave' || change.membership === 'ban'),
    readPosition: joins ? fact.position : (known?.readPosition ?? fact.position),
    readNotifyIndex: joins ? fact.room.notifyCount : (known?.readNotifyIndex ?? 0),
    readHighlightIndex: joins ? fact.room.highlightCount : (known?.readHighlightIndex ?? 0),
    readAt: known?.readAt ?? 0,
    earlier: starts ? nothing : known.earlier,
    later: starts ? [] : known.later,
    completed: fact.room.partialState ? 'not yet' : known?.completed,
    isCorrected: known?.isCorrected ?? false,
    threads: starts ? { upTo: fact.position, roots: new Map(), reads: [] } : known.threads,
  })
  session.last = fact.position
}

/** In a room that this deployment is not in there is nothing to read, and every invite is a new one. */
function applyRemoteMembership(session: Session, fact: RemoteMembershipFact): void {
  const { position, room, roomId, membership } = fact
  const known = session.rooms.get(room)
  if (known && known.since >= position) return
  session.rooms.set(room, {
    room,
    roomId,
    membership,
    since: position,
    eventNid: 0,
    forgotten: known?.forgotten === true && (membership === 'leave' || membership === 'ban'),
    readPosition: position,
    readNotifyIndex: 0,
    readHighlightIndex: 0,
    readAt: position,
    earlier: nothing,
    later: [],
    completed: undefined,
    isCorrected: false,
    threads: { upTo: position, roots: new Map(), reads: [] },
  })
  session.last = position
}

function applyCompletion(session: Session, fact: RoomCompletedFact): void {
  const room = session.rooms.get(fact.room)
  if (!room) return
  room.completed = fact.position
  room.isCorrected = fact.isCorrected
  session.last = fact.position
}

function readUpTo(
  session: Session,
  room: UserRoom,
  readPosition: number,
  index: { notifyCount: number; highlightCount: number },
  at: number,
): void {
  if (room.readPosition > readPosition) return
  room.readPosition = readPosition
  room.readNotifyIndex = index.notifyCount
  room.readHighlightIndex = index.highlightCount
  room.readAt = at
  room.later = room.later.filter((exception) => exception.position > readPosition)
  if (readPosition >= session.loadedAt) room.earlier = nothing
  // Read in part: what is left of the exceptions that were summed up is known to the database alone.
  else if (room.earlier.notify !== 0 || room.earlier.highlight !== 0) session.isStale = true
}
