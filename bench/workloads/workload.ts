import type { BenchClient, Connections } from '../client.ts'
import type { Load } from '../load.ts'
import type { BenchServer } from '../servers/server.ts'

/** Something that is measured by itself, on any server. */
export type Workload = {
  /** What `--only` names it by. */
  readonly name: string
  readonly title: (size: Sizes) => string
  /** What is counted: CPU and bytes are for one of them. */
  readonly each: string
  /** How many times better than the other server it is to be, and what it is to stay below. */
  readonly aims?: readonly Aim[]
  /** Connections that it takes at once. */
  readonly connections?: number
  run(bench: Bench): Promise<Figures>
}

/** `times` of what the other server does, or at most so much. */
export type Aim = { readonly figure: keyof Figures; readonly times?: number; readonly atMost?: number }

/** Undefined where a workload has no such figure. */
export type Figures = {
  /** A second. */
  readonly rate?: number
  /** Milliseconds. */
  readonly p50?: number
  readonly p99?: number
  /** CPU in milliseconds for each. */
  readonly serverCpu?: number
  readonly databaseCpu?: number
  readonly cpu?: number
  /** MiB that the server's processes hold at the end. */
  readonly memory?: number
  /** Bytes for each: on disk, or in memory, as the title says. */
  readonly bytes?: number
}

export type Sizes = {
  /** A number that a quick run makes smaller. */
  scaled(full: number, least?: number): number
  /** How long a loop lasts, in seconds. */
  readonly seconds: number
}

export type Bench = Sizes & {
  readonly server: BenchServer
  readonly connections: Connections
  /** Distinguishes this run and workload from others on the same server. */
  readonly tag: string
  users(prefix: string, count: number): Promise<BenchClient[]>
  /** Does the work, and says what it took: of as many pieces as there are samples, or as `count` says, which may be known only afterwards. */
  measure(work: () => Promise<Load>, options?: { count?: number | (() => number) }): Promise<Figures>
  /** Waits until the server has nothing to do for a while: half a second, unless so many milliseconds. */
  settled(pause?: number): Promise<void>
}

export const api = '/_matrix/client/v3'

export function inRoom(roomId: string, rest: string): string {
  return `${api}/rooms/${encodeURIComponent(roomId)}/${rest}`
}

export async function createRoom(owner: BenchClient, more: object = {}): Promise<string> {
  return (await owner.post(`${api}/createRoom`, { preset: 'public_chat', ...more })).room_id as string
}

export function join(user: BenchClient, roomId: string): Promise<unknown> {
  return user.post(`${api}/join/${encodeURIComponent(roomId)}`)
}

let sent = 0

export function say(user: BenchClient, roomId: string, body = 'a message of the benchmark'): Promise<unknown> {
  return user.put(inRoom(roomId, `send/m.room.message/t${sent++}`), { msgtype: 'm.text', body })
}
