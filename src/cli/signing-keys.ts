import { randomBytes } from 'node:crypto'
import { loadConfig } from '../config.ts'
import { changeSigningKeyFile, createSigningKeyFile, keyFileOf, newSigningKey } from '../domains.ts'
import { parseServerName } from '../matrix/ids.ts'
import { withNewKey, withoutKey } from '../matrix/signing-key-file.ts'
import { randomFrom } from '../random.ts'
import { systemClock } from '../system-clock.ts'
import { type Command, CommandError } from './arguments.ts'

const reread = 'Send SIGHUP to a process of the deployment, and all of them read their keys again.'

export async function generateSigningKey(command: Command): Promise<void> {
  const file = command.operands[0]!
  const keyId = createSigningKeyFile(file, randomFrom(randomBytes))
  console.log(`Wrote the signing key ${keyId} to ${file}`)
}

/** The former key still counts, since processes sign with it until they have read the new one. */
export async function rotateKey(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const file = fileOf(command, env)
  const key = newSigningKey(randomFrom(randomBytes))
  const { signing } = changeSigningKeyFile(file, (keys) => withNewKey(keys, key))
  console.log(`${key.keyId} is the key to sign with from now on. ${reread}`)
  console.log(`Then end the former one: revoke-key ${command.operands[0]!} ${signing[1]!.keyId}`)
}

export async function revokeKey(command: Command, env: NodeJS.ProcessEnv): Promise<void> {
  const file = fileOf(command, env)
  const keyId = command.operands[1]!
  changeSigningKeyFile(file, (keys) => {
    const left = withoutKey(keys, keyId, systemClock.now())
    if ('problem' in left) throw new CommandError(left.problem)
    return left
  })
  console.log(`What ${keyId} signs from now on does not count. ${reread}`)
}

function fileOf({ config: file, operands }: Command, env: NodeJS.ProcessEnv): string {
  const config = loadConfig({ env, ...(file !== undefined && { file }) })
  const name = parseServerName(operands[0]!)
  if (name === undefined || !config.server_names.includes(name)) {
    throw new CommandError(`${operands[0]} is not a server name of this deployment`)
  }
  return keyFileOf(config, name)
}
