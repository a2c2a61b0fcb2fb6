import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { startDeployment } from './deployment.ts'
import { encryptedConversation, secret } from './encrypted-conversation.ts'
import { startProgram } from './program.ts'

test('two officials with two devices each talk, encrypted from end to end', { timeout: 120_000 }, async () => {
  await using program = await startProgram()
  await encryptedConversation([program.url])
  await program.stop()
  expect(filesWith(program.dataDir, secret)).toEqual([])
})

test('the same over two processes, when Redis is killed in the middle', { timeout: 180_000 }, async () => {
  await using deployment = await startDeployment()
  const { processes, redis } = deployment
  await encryptedConversation(
    processes.map(({ url }) => url),
    () => redis.kill(),
  )
})

test('the same behind one address, when one process is killed in the middle', { timeout: 180_000 }, async () => {
  await using deployment = await startDeployment()
  const { url, processes } = deployment
  await encryptedConversation([url], () => deployment.kill(processes[1]))
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
