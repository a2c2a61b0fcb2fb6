import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Authority } from '../../complement-tests/certificates.ts'
import { freePort } from '../../complement-tests/program.ts'
import { findRedisServer, startRedisServer } from '../../src/testing/redis.ts'
import { answering } from './answering.ts'
import { startDatabase } from './database.ts'
import { startProgram } from './program.ts'
import { registersBy, writeRegistration } from './registration.ts'
import type { BenchServer } from './server.ts'

/** This program, as one process or as several on one database. */
export async function startChappe(options: { processes?: number; authority: Authority }): Promise<BenchServer> {
  const { processes = 1, authority } = options
  const folder = mkdtempSync(join(tmpdir(), 'chappe-bench-'))
  const database = await startDatabase(join(folder, 'postgres'), 100)
  const redis = processes > 1 ? await startRedisServer(await findRedisServer(), folder) : undefined
  const serverName = `localhost:${await freePort()}`
  const environment = {
    CHAPPE_DATA_DIR: folder,
    CHAPPE_SERVER_NAMES: serverName,
    CHAPPE_DATABASE_URL: database.url,
    CHAPPE_REGISTRATION_SHARED_SECRET: registersBy.sharedSecret,
    CHAPPE_APP_SERVICE_CONFIG_FILES: writeRegistration(folder),
    CHAPPE_HOST: '127.0.0.1',
    CHAPPE_RATE_LIMITS: 'off',
    CHAPPE_LOG_LEVEL: 'warn',
    CHAPPE_MEDIA_MAX_UPLOAD_SIZE: String(200 * 1024 * 1024),
    CHAPPE_USER_DIRECTORY_SEARCH_ALL_USERS: 'true',
    CHAPPE_FEDERATION_ALLOW: '*',
    CHAPPE_FEDERATION_ALLOW_ADDRESSES: '127.0.0.0/8,::1/128',
    CHAPPE_FEDERATION_CA_FILE: authority.ca,
    ...(redis && { CHAPPE_REDIS_URL: redis.url }),
  }
  const children: ChildProcess[] = []
  const urls: string[] = []
  for (let index = 0; index < processes; index++) {
    const port = await freePort()
    const child = startProgram({ ...environment, CHAPPE_PORT: String(port) })
    children.push(child)
    urls.push(`http://127.0.0.1:${port}`)
    await answering(urls.at(-1)!, child)
  }
  return {
    name: processes === 1 ? 'Chappe' : `Chappe, ${processes} processes`,
    urls,
    registersBy,
    pids: { server: children.map(({ pid }) => pid!), database: [database.pid] },
    databaseBytes: () => database.bytes(),
    federation: { serverName, authority },
    async stop() {
      for (const child of children) child.kill('SIGTERM')
      await Promise.all(children.map((child) => once(child, 'exit')))
      await redis?.stop()
      await database.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
