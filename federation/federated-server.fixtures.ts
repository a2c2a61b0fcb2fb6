import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { checkConfig } from '../src/config.ts'
import { createContext } from '../src/context.ts'
import { startServer } from '../src/server.ts'
import { createTestDatabase } from '../src/testing/database.ts'
import { TestServer } from '../src/testing/test-server.ts'
import { createFederation } from './index.ts'

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A server that others can reach by its name, which is its address. */
export async function startFederatedServer(federation: object = {}): Promise<TestServer> {
  const port = await freePort()
  const database = await createTestDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'chappe-federation-'))
  const tree = {
    server_names: [`127.0.0.1:${port}`],
    data_dir: folder,
    registration: { mode: 'open' },
    rate_limits: { enabled: false },
    passwords: { argon2_memory_kib: 8, argon2_passes: 1 },
    federation: { allow: ['*'], allow_addresses: ['127.0.0.0/8'], insecure_http: true, ...federation },
  }
  const log = pino({ level: process.env.CHAPPE_TEST_LOG ?? 'silent' })
  const ctx = await createContext(checkConfig(tree), database.url, { log })
  const running = createFederation(ctx)
  const server = await startServer(ctx, { port, also: running?.endpoints ?? [] })
  const close = async (): Promise<void> => {
    await server.close()
    await running?.close()
  }
  const cleanUp = async (): Promise<void> => {
    rmSync(folder, { recursive: true, force: true })
    await database[Symbol.asyncDispose]()
  }
  return new TestServer({ ctx, server: { port: server.port, close }, database, tree, cleanUp })
}
