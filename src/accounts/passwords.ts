import { argon2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Config } from '../config.ts'
import { type ErrorCode, MatrixError } from '../matrix/errors.ts'
import type { Random } from '../random.ts'

const derive = promisify(argon2)

type Parameters = { readonly memory: number; readonly passes: number; readonly parallelism: number }

type Dependencies = { readonly config: Pick<Config, 'passwords'>; readonly random: Random }

const saltBytes = 16
const digestBytes = 32
/** Longer ones cost more to derive than they are worth. */
const maxPasswordLength = 512

/**
 * Hashes a password with argon2id, off the main thread.
 *
 * @returns a PHC string, which carries its parameters: changed ones apply to the passwords set from then on.
 */
export async function hashPassword(ctx: Dependencies, password: string): Promise<string> {
  const parameters = currentParameters(ctx.config)
  const salt = ctx.random.bytes(saltBytes)
  return formatPhc(parameters, salt, await digestOf(password, salt, parameters))
}

/**
 * Compares a password with the hash of an account. Without a hash the answer is no, and takes as long: an unknown user
 * must not be told from a known one.
 */
export async function isPassword(ctx: Dependencies, password: string, stored: string | null): Promise<boolean> {
  const known = stored === null ? undefined : parsePhc(stored)
  const { parameters, salt, digest } = known ?? {
    parameters: currentParameters(ctx.config),
    salt: Buffer.alloc(saltBytes),
    digest: Buffer.alloc(digestBytes),
  }
  if (password.length > maxPasswordLength) return false
  const derived = await digestOf(password, salt, parameters)
  return timingSafeEqual(derived, digest) && known !== undefined
}

/**
 * Holds a new password to the policy.
 *
 * @throws MatrixError M_WEAK_PASSWORD; with MSC2000 M_PASSWORD_TOO_SHORT, M_PASSWORD_NO_DIGIT and so on.
 */
export function checkPasswordPolicy(config: Pick<Config, 'passwords' | 'experimental'>, password: string): void {
  const policy = config.passwords
  const refuse = (reason: string, errcode: ErrorCode = 'M_WEAK_PASSWORD'): never => {
    throw new MatrixError(config.experimental.msc2000 ? errcode : 'M_WEAK_PASSWORD', `The password must ${reason}`)
  }
  if (password.length > maxPasswordLength) refuse(`have at most ${maxPasswordLength} characters`)
  if ([...password].length < policy.minimum_length)
    refuse(`have at least ${policy.minimum_length} characters`, 'M_PASSWORD_TOO_SHORT')
  if (policy.require_digit && !/\p{Nd}/u.test(password)) refuse('contain a digit', 'M_PASSWORD_NO_DIGIT')
  if (policy.require_lowercase && !/\p{Ll}/u.test(password))
    refuse('contain a lower-case letter', 'M_PASSWORD_NO_LOWERCASE')
  if (policy.require_uppercase && !/\p{Lu}/u.test(password))
    refuse('contain a capital letter', 'M_PASSWORD_NO_UPPERCASE')
  if (policy.require_symbol && !/[^\p{L}\p{N}]/u.test(password)) refuse('contain a symbol', 'M_PASSWORD_NO_SYMBOL')
}

function currentParameters(config: Pick<Config, 'passwords'>): Parameters {
  return { memory: config.passwords.argon2_memory_kib, passes: config.passwords.argon2_passes, parallelism: 1 }
}

function digestOf(password: string, salt: Buffer, parameters: Parameters): Promise<Buffer> {
  // Typed on different keyboards the same password may arrive in different normal forms.
  const message = password.normalize('NFKC')
  return derive('argon2id', { message, nonce: salt, tagLength: digestBytes, ...parameters })
}

function formatPhc(parameters: Parameters, salt: Buffer, digest: Buffer): string {
  const { memory, passes, parallelism } = parameters
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(digest)}`
}

function parsePhc(text: string): { parameters: Parameters; salt: Buffer; digest: Buffer } | undefined {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/.exec(text)
  if (match === null) return undefined
  const [memory, passes, parallelism] = match.slice(1, 4).map(Number) as [number, number, number]
  const digest = Buffer.from(match[5]!, 'base64')
  if (digest.length !== digestBytes) return undefined
  return { parameters: { memory, passes, parallelism }, salt: Buffer.from(match[4]!, 'base64'), digest }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '')
}
