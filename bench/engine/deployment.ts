import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDeployment } from '../../src/cli/deployment.ts'
import { loadConfig } from '../../src/config.ts'
import { type Context, closeContext, createContext } from '../../src/context.ts'
import { createLog } from '../../src/log.ts'

/** A deployment of its own in a folder that goes with it, for what is measured through the engine without HTTP. */
export async function openBench(
  name: string,
  environment: Record<string, string> = {},
): Promise<{ ctx: Context; close(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), `chappe-${name}-`))
  const config = loadConfig({
    env: {
      CHAPPE_DATA_DIR: folder,
      CHAPPE_SERVER_NAMES: 'bench.test',
      CHAPPE_LOG_LEVEL: 'error',
      CHAPPE_RATE_LIMITS: 'off',
      ...environment,
    },
  })
  const log = createLog(config)
  const deployment = await openDeployment(config, log, { exclusive: true })
  const ctx = await createContext(config, deployment.databaseUrl, { log })
  return {
    ctx,
    async close() {
      await closeContext(ctx)
      await deployment.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
