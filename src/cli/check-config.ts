import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { loadConfig } from '../config.ts'
import { keyFileOf, openDomains } from '../domains.ts'
import { createOrigins } from '../http/client-address.ts'
import { randomFrom } from '../random.ts'
import type { Command } from './arguments.ts'

/** Checks all that can be checked without starting anything; keys are made at the first start, not here. */
export async function checkConfiguration(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const config = loadConfig({ env, ...(command.config !== undefined && { file: command.config }) })
  createOrigins(config.trusted_proxies)
  if (config.server_names.every((name) => existsSync(keyFileOf(config, name)))) {
    openDomains(config, randomFrom(randomBytes))
  }
  console.log(`The configuration is valid: it serves ${config.server_names.join(', ')}`)
}
