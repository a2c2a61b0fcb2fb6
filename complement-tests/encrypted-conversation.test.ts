import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { encryptedConversation, secret } from './encrypted-conversation.ts'
import { startProgram } from './program.ts'
import { startBalancer, startPostgres, startRedis } from './services.ts'

test('two officials with two devices each talk, encrypted from end to end', { timeout: 120_000 }, async () => {
  await using program = await startProgram()
  await encryptedConversation([program.url])
  await program.stop()
  expect(filesWith(program.dataDir, secret)).toEqual([])
})

test('the same over two processes, when Redis is killed in the middle', { timeout: 180_000 }, async () => {
  await using postgres = await startPostgres()
  await using redis = await startRedis()
  const environment = { CHAPPE_DATABASE_URL: postgres.url, CHAPPE_REDIS_URL: redis.url }
  await using one = await startProgram(environment)
  await using other = await startProgram({ ...environment, CHAPPE_DATA_DIR: one.dataDir })
  await encryptedConversation([one.url, other.url], () => redis.kill())
})

test('the same behind one address, when one process is killed in the middle', { timeout: 180_000 }, async () => {
  await using postgres = await startPostgres()
  await using redis = await startRedis()
  const environment = { CHAPPE_DATABASE_URL: postgres.url, CHAPPE_REDIS_URL: redis.url }
  await using one = await startProgram(environment)
  await using other = await startProgram({ ...environment, CHAPPE_DATA_DIR: one.dataDir })
  await using balancer = await startBalancer([one.url, other.url])
  await encryptedConversation([balancer.url], async () => {
    await other.kill()
    // A request on a connection that has just broken fails in any client; what counts is what comes after it.
    await balancer.forgotten(other.url)
  })
})

/** Files below a folder that contain a text: the database as it lies on disk, its log included. */
function filesWith(folder: string, text: string): string[] {
  try {
    return execFileSync('grep', ['-rlaF', text, folder], { encoding: 'utf8' }).trim().split('\n')
  } catch (error) {
    if ((error as { status?: number }).status === 1) return []
    throw error
  }
}
