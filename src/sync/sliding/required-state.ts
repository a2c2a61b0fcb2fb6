/**
 * Which state of a room a client wants. What matches any of the parts of a room's configuration is told.
 *
 * Spec: MSC4186, "RequiredStateRequest"; its unstable form is that of MSC3575, with `*`, `$ME` and `$LAZY`.
 */
export type RequiredState = {
  /** All types and keys, but for the types in `narrowed`, and members when they are loaded lazily. */
  readonly everything: boolean
  readonly narrowed: readonly string[]
  readonly keys: readonly (readonly [type: string, stateKey: string])[]
  /** All keys of a type. */
  readonly types: readonly string[]
  /** Keys under any type. */
  readonly anyType: readonly string[]
  readonly excluded: readonly StateElement[]
  /** Members as the timeline brings them up. */
  readonly lazy: boolean
}

/** What is absent matches everything. */
export type StateElement = { readonly type?: string | undefined; readonly state_key?: string | undefined }

/** A configuration of a room with its required state made ready to be asked. */
export type StateMatcher = {
  matches(type: string, stateKey: string): boolean
  readonly lazy: boolean
  readonly keys: readonly (readonly [type: string, stateKey: string])[]
  /** Types of which all keys are wanted, members apart; null: any type. */
  readonly types: readonly string[] | null
  readonly allMembers: boolean
  readonly isEmpty: boolean
}

const memberType = 'm.room.member'

/** Pairs of MSC3575. With everything asked for, other pairs leave of their type only the keys they name. */
export function requiredStateOfPairs(
  pairs: readonly (readonly [type: string, stateKey: string])[],
  userId: string,
): RequiredState {
  const own = pairs.map(([type, key]): readonly [string, string] => [type, key === '$ME' ? userId : key])
  const lazy = own.some(([type, key]) => type === memberType && key === '$LAZY')
  const plain = own.filter(([, key]) => key !== '$LAZY')
  const everything = plain.some(([type, key]) => type === '*' && key === '*')
  return {
    everything,
    narrowed: everything ? [...new Set(own.flatMap(([type, key]) => (type === '*' || key === '*' ? [] : [type])))] : [],
    keys: plain.filter(([type, key]) => type !== '*' && key !== '*'),
    types: plain.filter(([type, key]) => type !== '*' && key === '*').map(([type]) => type),
    anyType: plain.filter(([type, key]) => type === '*' && key !== '*').map(([, key]) => key),
    excluded: [],
    lazy,
  }
}

/** The form of MSC4186. */
export function requiredStateOfElements(request: {
  readonly include?: readonly StateElement[]
  readonly exclude?: readonly StateElement[]
  readonly lazy_members?: boolean
}): RequiredState {
  const include = request.include ?? []
  return {
    everything: include.some(({ type, state_key }) => type === undefined && state_key === undefined),
    narrowed: [],
    keys: include.flatMap(({ type, state_key }) =>
      type === undefined || state_key === undefined ? [] : [[type, state_key] as const],
    ),
    types: include.flatMap(({ type, state_key }) => (type !== undefined && state_key === undefined ? [type] : [])),
    anyType: include.flatMap(({ type, state_key }) =>
      type === undefined && state_key !== undefined ? [state_key] : [],
    ),
    excluded: (request.exclude ?? []).map(({ type, state_key }) => ({ type, state_key })),
    lazy: request.lazy_members ?? false,
  }
}

export function stateMatcher(parts: readonly RequiredState[]): StateMatcher {
  const tests = parts.map(partTest)
  const anyType = parts.flatMap((part) => part.anyType)
  const keys = new Map<string, readonly [string, string]>()
  for (const part of parts) for (const pair of part.keys) keys.set(`${pair[0]}\0${pair[1]}`, pair)
  for (const key of anyType) keys.set(`${memberType}\0${key}`, [memberType, key])
  const wantsAny = anyType.length > 0 || parts.some(({ everything }) => everything)
  const types = [...new Set(parts.flatMap((part) => part.types))]
  const allMembers =
    types.includes(memberType) ||
    parts.some(({ everything, lazy, narrowed }) => everything && !lazy && !narrowed.includes(memberType))
  const lazy = parts.some((part) => part.lazy)
  return {
    matches: (type, stateKey) => tests.some((test) => test(type, stateKey)),
    lazy,
    keys: [...keys.values()],
    types: wantsAny ? null : types.filter((type) => type !== memberType),
    allMembers,
    isEmpty: !wantsAny && !lazy && keys.size + types.length === 0,
  }
}

function partTest(part: RequiredState): (type: string, stateKey: string) => boolean {
  const keys = new Set(part.keys.map(([type, key]) => `${type}\0${key}`))
  const types = new Set(part.types)
  const anyType = new Set(part.anyType)
  const narrowed = new Set(part.narrowed)
  if (part.lazy) narrowed.add(memberType)
  return (type, stateKey) => {
    const isExcluded = part.excluded.some(
      (element) => (element.type ?? type) === type && (element.state_key ?? stateKey) === stateKey,
    )
    if (isExcluded) return false
    if (part.everything && !narrowed.has(type)) return true
    return types.has(type) || anyType.has(stateKey) || keys.has(`${type}\0${stateKey}`)
  }
}
