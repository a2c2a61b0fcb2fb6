import { MatrixError } from '../matrix/errors.ts'

/**
 * Where a client has got to: a position of the stream, and in this process how far with what is only in memory (typing).
 * Written `s<position>` or `s<position>_<process>_<counter>`.
 */
export type SyncToken = {
  readonly position: number
  readonly ephemeral?: { readonly process: string; readonly counter: number }
}

const pattern = /^s(\d{1,16})(?:_([\w-]{1,24})_(\d{1,16}))?$/

/** @throws MatrixError M_INVALID_PARAM for what no server of ours gave out. */
export function parseSyncToken(text: string): SyncToken {
  const match = pattern.exec(text)
  const position = Number(match?.[1])
  if (!match || !Number.isSafeInteger(position)) throw new MatrixError('M_INVALID_PARAM', 'Unknown sync token')
  if (match[2] === undefined) return { position }
  return { position, ephemeral: { process: match[2], counter: Number(match[3]) } }
}

export function formatSyncToken(token: SyncToken): string {
  const { position, ephemeral } = token
  return ephemeral ? `s${position}_${ephemeral.process}_${ephemeral.counter}` : `s${position}`
}

/**
 * A place between two events of a room's timeline: after the event at this timeline position. Sync tokens serve as well,
 * since `prev_batch` and `next_batch` go into `/messages`.
 */
export function parseTimelineToken(text: string): number {
  const match = /^t(-?\d{1,16})$/.exec(text)
  if (!match) return parseSyncToken(text).position
  const position = Number(match[1])
  if (!Number.isSafeInteger(position)) throw new MatrixError('M_INVALID_PARAM', 'Unknown pagination token')
  return position
}

export function formatTimelineToken(position: number): string {
  return `t${position}`
}
