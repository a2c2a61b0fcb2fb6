import type { Context } from '../context.ts'
import { kindKey } from '../storage/dictionaries.ts'
import type { StoredEvent } from '../storage/events.ts'
import { type RoomState, statesAfter } from './state-at.ts'

type Engine = Pick<Context, 'database' | 'dictionaries' | 'events'>

const memberOf = (stateKey: string) => ({ type: 'm.room.member', stateKey })

/**
 * The state after an event, on whatever fork it is: all of it, or of the members only some. Where it is not known, as before
 * some history of other servers, the resolved state at its position stands for it.
 *
 * @param onlyMembers The numbers of users; undefined: all of them.
 */
export async function stateAfterEvent(
  ctx: Engine,
  event: StoredEvent,
  onlyMembers: ReadonlySet<number> | undefined,
): Promise<StoredEvent[]> {
  const { room } = event
  const { base, entries } = (await knownStatesAfter(ctx, [event])).get(event)!
  const kinds = onlyMembers && (await memberKinds(ctx, onlyMembers))
  const [settings, members, own] = await Promise.all([
    kinds ? ctx.events.statesAt([{ room, position: base }], { members: false }) : ctx.events.stateAt(room, base),
    kinds ? ctx.events.stateAt(room, base, [...kinds]) : [],
    ctx.events.byNids([...entries.values()].filter((nid) => nid !== 0)),
  ])
  const isWanted = ({ kind, event: { pdu } }: StoredEvent): boolean =>
    kinds === undefined || kinds.has(kind) || pdu.type !== 'm.room.member'
  return [...[...settings, ...members].filter(({ kind }) => !entries.has(kind)), ...own.filter(isWanted)]
}

async function memberKinds(ctx: Pick<Context, 'dictionaries'>, users: ReadonlySet<number>): Promise<Set<number>> {
  const userIds = await ctx.dictionaries.userIds(users)
  return new Set((await ctx.dictionaries.findKinds([...userIds.values()].map(memberOf))).values())
}

/**
 * The memberships of those who sent events of one room, each as it was with the newest event of theirs. A fixed number of
 * statements.
 */
export async function sendersOf(ctx: Engine, events: readonly StoredEvent[]): Promise<StoredEvent[]> {
  const newest = new Map<string, StoredEvent>()
  for (const event of events) {
    const { sender } = event.event.pdu
    if (event.timeline! > (newest.get(sender)?.timeline ?? Number.NEGATIVE_INFINITY)) newest.set(sender, event)
  }
  const [states, kinds] = await Promise.all([
    knownStatesAfter(ctx, [...newest.values()]),
    ctx.dictionaries.findKinds([...newest.keys()].map(memberOf)),
  ])
  const onForks: number[] = []
  const resolved: { room: number; position: number; kind: number }[] = []
  for (const [sender, event] of newest) {
    const kind = kinds.get(kindKey('m.room.member', sender))
    if (kind === undefined) continue
    const { base, entries } = states.get(event)!
    const nid = entries.get(kind)
    if (nid === undefined) resolved.push({ room: event.room, position: base, kind })
    else if (nid !== 0) onForks.push(nid)
  }
  const found = await Promise.all([ctx.events.byNids(onForks), ctx.events.entriesAt(resolved)])
  return found.flat()
}

async function knownStatesAfter(ctx: Engine, events: readonly StoredEvent[]): Promise<Map<StoredEvent, RoomState>> {
  const states = await statesAfter(ctx, events)
  return new Map(
    events.map((event) => {
      const state = states.get(event.nid)!
      return [event, state.known ? state.value : { base: event.timeline!, entries: new Map() }]
    }),
  )
}
