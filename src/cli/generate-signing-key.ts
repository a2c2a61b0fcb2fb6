import { randomBytes } from 'node:crypto'
import { createSigningKeyFile } from '../domains.ts'
import { randomFrom } from '../random.ts'
import type { Command } from './arguments.ts'

export async function generateSigningKey(command: Command): Promise<void> {
  const file = command.operands[0]!
  const keyId = createSigningKeyFile(file, randomFrom(randomBytes))
  console.log(`Wrote the signing key ${keyId} to ${file}`)
}
