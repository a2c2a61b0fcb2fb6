import { MatrixError } from '../matrix/errors.ts'

/**
 * Where a client has got to: a position of the stream, in one process how far with what is only in memory (typing), and
 * how far with messages to the device where not all of them fitted in. Written `s<position>`, then if there is one
 * `_<process>_<counter>`, then if there is one `~<position of the last message>`.
 */
export type SyncToken = {
  readonly position: number
  readonly ephemeral?: { readonly process: string; readonly counter: number }
  readonly toDevice?: number
  readonly connection?: { readonly state: number; readonly answer: number }
}

const pattern = /^s(\d{1,16})(?:_([\w-]{1,24})_(\d{1,16}))?(?:~(\d{1,16}))?(?:\.(\d{1,15})\.(\d{1,15}))?$/

/** @throws MatrixError M_INVALID_PARAM for what no server of ours gave out. */
export function parseSyncToken(text: string): SyncToken {
  const match = pattern.exec(text)
  const position = Number(match?.[1])
  if (!match || !Number.isSafeInteger(position)) throw new MatrixError('M_INVALID_PARAM', 'Unknown sync token')
  const [, , process, counter, toDevice, state, answer] = match
  return {
    position,
    ...(process !== undefined && { ephemeral: { process, counter: Number(counter) } }),
    ...(toDevice !== undefined && { toDevice: Math.min(Number(toDevice), position) }),
    ...(state !== undefined && { connection: { state: Number(state), answer: Number(answer) } }),
  }
}

export function formatSyncToken(token: SyncToken): string {
  const { position, ephemeral, toDevice, connection } = token
  const inProcess = ephemeral ? `_${ephemeral.process}_${ephemeral.counter}` : ''
  const onConnection = connection ? `.${connection.state}.${connection.answer}` : ''
  return `s${position}${inProcess}${toDevice === undefined ? '' : `~${toDevice}`}${onConnection}`
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
