import { MatrixError } from '../../src/matrix/errors.ts'
import type { RoomEvent } from '../../src/matrix/event.ts'
import type { EventId, RoomId } from '../../src/matrix/ids.ts'
import { type AcceptOptions, acceptEvents } from '../../src/rooms/accept-event.ts'
import type { HotRoom } from '../../src/rooms/hot-room.ts'
import { isPolicyItself, isRecommended, type PolicyServer, policyServerOf } from '../../src/rooms/policy-server.ts'
import { domainIn } from '../../src/rooms/remote-memberships.ts'
import type { Federation } from '../federation.ts'
import { storedOf } from '../remote/fetch-state.ts'

/** Events that a policy server is asked about at a time. */
const askedAtOnce = 10

/** What a policy server says of events: those it recommends, signed by it, and why it does not recommend others. */
export type PolicyChecked = {
  readonly events: readonly RoomEvent[]
  readonly unwanted: ReadonlyMap<EventId, MatrixError>
}

type Outcome = Awaited<ReturnType<typeof acceptEvents>>[number]

/**
 * Step 7, and after it the steps from 4 on: takes events in, of which those that the room's policy server does not recommend
 * are told to nobody.
 *
 * Spec: Server-Server API, "Checks performed on receipt of a PDU" (v1.19).
 */
export function acceptChecked(
  federation: Federation,
  { roomId }: HotRoom,
  events: readonly RoomEvent[],
  options: AcceptOptions = {},
): Promise<Outcome[]> {
  return underEachPolicy(federation, roomId, events, async (room, some) => {
    const checked = await checkPolicy(federation, room, some)
    const unwanted = new Map([...checked.unwanted].map(([eventId, { message }]) => [eventId, message] as const))
    return acceptEvents(federation.ctx, roomId, checked.events, { ...options, unwanted })
  })
}

/** Takes those events in about which no policy server has to be asked; nothing is said of the others. */
export function acceptUnasked(
  federation: Federation,
  { roomId }: HotRoom,
  events: readonly RoomEvent[],
): Promise<(Outcome | undefined)[]> {
  return underEachPolicy(federation, roomId, events, async (room, some) => {
    const open = new Set((await unsettled(federation, room, some)).open)
    const others = some.filter((event) => !open.has(event))
    const outcomes = await acceptEvents(federation.ctx, roomId, others)
    const byEvent = new Map(others.map((event, index) => [event, outcomes[index]!]))
    return some.map((event) => byEvent.get(event))
  })
}

/** Takes events in lot by lot, where the last of a lot may give the room another policy server. */
async function underEachPolicy<Each>(
  { ctx }: Federation,
  roomId: RoomId,
  events: readonly RoomEvent[],
  accept: (room: HotRoom, some: readonly RoomEvent[]) => Promise<readonly Each[]>,
): Promise<Each[]> {
  const outcomes: Each[] = []
  for (let start = 0; start < events.length; ) {
    const room = await ctx.hotRooms.get(roomId)
    if (!room) throw new MatrixError('M_NOT_FOUND', 'Unknown room')
    const end = endOfPolicy(room, events, start)
    outcomes.push(...(await accept(room, events.slice(start, end))))
    start = end
  }
  return outcomes
}

function endOfPolicy(room: HotRoom, events: readonly RoomEvent[], start: number): number {
  const via = room.get('m.room.policy', '')?.pdu.content.via
  const changes = ({ pdu }: RoomEvent): boolean =>
    isPolicyItself(pdu) || (pdu.type === 'm.room.member' && pdu.state_key?.endsWith(`:${via}`) === true)
  const index = events.findIndex((event, at) => at >= start && changes(event))
  return index < 0 ? events.length : index + 1
}

/** Spec: Server-Server API, "Validating Policy Server signatures" (v1.19). */
export async function checkPolicy(
  federation: Federation,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<PolicyChecked> {
  const { policy, open } = await unsettled(federation, room, events)
  const unwanted = new Map<EventId, MatrixError>()
  if (!policy || open.length === 0) return { events, unwanted }
  const origin = await domainIn(federation.ctx, room)
  const signed = new Map<RoomEvent, RoomEvent>()
  const work = async (): Promise<void> => {
    for (let event = open.shift(); event; event = open.shift()) {
      try {
        signed.set(event, await federation.policyServers.recommend(event, room.rules, policy, origin))
      } catch (error) {
        if (!(error instanceof MatrixError)) throw error
        unwanted.set(event.eventId, error)
      }
    }
  }
  await Promise.all(Array.from({ length: askedAtOnce }, work))
  return { events: events.map((event) => signed.get(event) ?? event), unwanted }
}

/** The events that lack a valid signature of the room's policy server, unless they are here: what became of those is settled. */
async function unsettled(
  federation: Federation,
  room: HotRoom,
  events: readonly RoomEvent[],
): Promise<{ policy?: PolicyServer; open: RoomEvent[] }> {
  const policy = await policyServerOf(federation.ctx, room)
  if (!policy) return { open: [] }
  const lacking = events.filter((event) => !isPolicyItself(event.pdu) && !isRecommended(event, policy, room.rules))
  const ids = lacking.map(({ eventId }) => eventId)
  const here = await storedOf(federation, room, ids, { placed: true })
  return { policy, open: lacking.filter(({ eventId }) => !here.has(eventId)) }
}
