import { MatrixError } from '../matrix/errors.ts'
import type { SearchPlace } from '../storage/searchable-events.ts'

/** Where a page of results goes on, and in which group of them alone. */
export type SearchToken = SearchPlace & {
  readonly group?: { readonly key: 'room_id' | 'sender'; readonly number: number }
}

const pattern = /^([0-9.e-]{1,20})_(\d{1,16})_(\d{1,16})(?:_([rs])(\d{1,9}))?$/

export function formatSearchToken({ rank, ts, nid, group }: SearchToken): string {
  const suffix = group === undefined ? '' : `_${group.key === 'room_id' ? 'r' : 's'}${group.number}`
  return `${rank}_${ts}_${nid}${suffix}`
}

/** @throws MatrixError M_INVALID_PARAM */
export function parseSearchToken(text: string): SearchToken {
  const match = pattern.exec(text)
  const rank = Number(match?.[1])
  if (match === null || !Number.isFinite(rank)) {
    throw new MatrixError('M_INVALID_PARAM', 'next_batch: not a token of this server')
  }
  const group = match[4] && ({ key: match[4] === 'r' ? 'room_id' : 'sender', number: Number(match[5]) } as const)
  return { rank, ts: Number(match[2]), nid: Number(match[3]), ...(group && { group }) }
}
