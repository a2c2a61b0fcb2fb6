import type { Context } from '../../context.ts'
import type { Session } from '../sessions.ts'
import { parseSyncToken, type SyncToken } from '../token.ts'
import { wokenUp } from '../wait-for-sync.ts'
import type { ConnectionState } from './connection.ts'
import { unknownPos } from './connections.ts'
import { extensions } from './extensions/index.ts'
import { planSliding, roomsOfExtension, type SlidingPlan } from './plan.ts'
import type { SlidingRequest } from './request.ts'
import { loadRoomData, type RoomResult, type RoomsResult } from './room-data.ts'

/** An answer before it is written in one of the two forms. */
export type SlidingAnswer = {
  /** What the token for coming back is made of. */
  readonly token: SyncToken
  readonly counts: ReadonlyMap<string, number>
  readonly rooms: readonly RoomResult[]
  /** JSON texts by name. */
  readonly extensions: ReadonlyMap<string, string>
}

type Base = { readonly token: SyncToken | undefined; readonly state: ConnectionState; readonly answer: number }

/**
 * Answers a sliding sync: at once when there is something to tell or the connection is new, or else as soon as there is,
 * but after `timeout` milliseconds at the latest.
 *
 * Spec: MSC4186.
 *
 * @param gone Aborted when the client has gone away.
 * @throws MatrixError M_UNKNOWN_POS when the client must begin anew.
 */
export async function answerSliding(
  ctx: Context,
  request: SlidingRequest,
  timeout: number,
  gone: AbortSignal,
): Promise<SlidingAnswer> {
  const deadline = ctx.clock.monotonic() + timeout
  const base = await loadBase(ctx, request)
  let current = base
  for (;;) {
    const session = await ctx.sessions.of(request.reader)
    const seen = ctx.stream.position
    const typingCounter = ctx.typing.counter
    const built = await build(ctx, session, request, current, seen)
    const left = deadline - ctx.clock.monotonic()
    const isOver = built.isNews || left <= 0 || gone.aborted || ctx.closing.aborted
    if (base.token && !isOver) {
      // Up to here there was nothing to tell, so that the next look goes no further back.
      const ephemeral = { process: ctx.processId, counter: typingCounter }
      const state = withExtensions(built.plan.next, built.extensions)
      current = { ...base, token: { ...base.token, position: seen, ephemeral }, state }
      await wokenUp(ctx, session.waiters, seen, left, gone)
      continue
    }
    return finish(ctx, request, base, built, { position: seen, typingCounter, isRead: !gone.aborted })
  }
}

async function loadBase(ctx: Context, request: SlidingRequest): Promise<Base> {
  const key = keyOf(request)
  const { connections } = ctx.slidingSync
  if (request.pos === undefined) {
    connections.toldMembers(key).acknowledge(0)
    return { token: undefined, state: await connections.load(key, 0), answer: 0 }
  }
  const token = parsePos(request.pos)
  // Another process may have given out the token.
  if (token.position > ctx.stream.position) await ctx.stream.catchUp()
  if (token.position > ctx.stream.position) throw unknownPos()
  const { state, answer } = token.connection!
  const loaded = await connections.load(key, state)
  connections.toldMembers(key).acknowledge(answer)
  return { token, state: loaded, answer }
}

function parsePos(pos: string): SyncToken {
  let token: SyncToken | undefined
  try {
    token = parseSyncToken(pos)
  } catch {
    // What is no token of ours at all is no different to the client from one that we forgot.
  }
  if (!token?.connection) throw unknownPos()
  return token
}

function keyOf({ reader, connId }: SlidingRequest) {
  return { userNid: reader.userNid, deviceId: reader.deviceId, connId }
}

type Asked = { readonly enabled?: unknown; readonly lists?: string[] | null; readonly rooms?: string[] | null }

type Built = {
  readonly plan: SlidingPlan
  readonly data: RoomsResult
  readonly extensions: ReadonlyMap<string, string>
  readonly isNews: boolean
}

async function build(
  ctx: Context,
  session: Session,
  request: SlidingRequest,
  { token, state }: Base,
  upTo: number,
): Promise<Built> {
  const since = token?.position
  const plan = await planSliding(ctx, ctx.slidingSync, session, request, { state, position: since, upTo })
  const told = ctx.slidingSync.connections.toldMembers(keyOf(request))
  const loading = loadRoomData(ctx, session, request, plan.rooms, told, since)
  const isOurs = token?.ephemeral?.process === ctx.processId
  const texts = new Map<string, string>()
  const asked = extensions.flatMap((extension) => {
    const part = request.extensions[extension.name] as Asked | null | undefined
    return part?.enabled === true ? [{ extension, part }] : []
  })
  const answering = Promise.all(
    asked.map(({ extension, part }) => {
      const hasAll = state.extensions.has(extension.name)
      return extension.answer(ctx, {
        session,
        request,
        asked: part,
        plan,
        since,
        upTo,
        typingSince: isOurs ? token!.ephemeral!.counter : 0,
        rooms: extension.ofRooms
          ? roomsOfExtension(plan, part).map((room) => ({ room, after: hasAll ? room.after : undefined }))
          : [],
        timelineStart: async (room) => (await loading).starts.get(room),
        shownEvents: async () => (await loading).shown,
      })
    }),
  )
  const [data, answers] = await Promise.all([loading, answering])
  let isNews = data.rooms.length > 0
  answers.forEach((answer, index) => {
    if (!answer) return
    texts.set(asked[index]!.extension.name, answer.text)
    isNews ||= answer.isNews
  })
  return { plan, data, extensions: texts, isNews }
}

async function finish(
  ctx: Context,
  request: SlidingRequest,
  base: Base,
  { plan, data, extensions: texts }: Built,
  at: { readonly position: number; readonly typingCounter: number; readonly isRead: boolean },
): Promise<SlidingAnswer> {
  const { connections } = ctx.slidingSync
  const key = keyOf(request)
  const next = withExtensions(plan.next, texts)
  const before = base.token?.connection?.state ?? 0
  // A client that went away may have asked again meanwhile: what that answer left must not make room for this one's.
  const state = next === base.state || !at.isRead ? before : await connections.save(key, before, next)
  const answer = base.answer + 1
  if (at.isRead) connections.toldMembers(key).tell(answer, data.members, data.gaps)
  return {
    token: {
      position: at.position,
      ephemeral: { process: ctx.processId, counter: at.typingCounter },
      connection: { state, answer },
    },
    counts: plan.counts,
    rooms: data.rooms,
    extensions: texts,
  }
}

/** Remembers which extensions have told what they know of the rooms; without rooms there is nothing to remember. */
function withExtensions(state: ConnectionState, texts: ReadonlyMap<string, string>): ConnectionState {
  if (state.rooms.size === 0) return state
  const added = extensions.filter(({ name, ofRooms }) => ofRooms && texts.has(name) && !state.extensions.has(name))
  if (added.length === 0) return state
  return { ...state, extensions: new Set([...state.extensions, ...added.map(({ name }) => name)]) }
}
