import type { BenchServer, RegistersBy } from './server.ts'

/** A server that runs already, here or somewhere else. */
export function serverElsewhere(
  urls: readonly string[],
  registersBy: RegistersBy,
  pids: readonly number[],
): BenchServer {
  return { name: urls.join(', '), urls, registersBy, pids: { server: pids, database: [] }, stop: async () => {} }
}
