import { Agent, request } from 'node:http'
import { expect, test } from 'vitest'
import { endpoint } from './http/endpoint.ts'
import { startServer } from './server.ts'
import { startTestServer } from './testing/index.ts'

test('told to stop, it answers who waits at once and finishes what is under way', async () => {
  const { promise: isSlow, resolve: finishSlow } = Promise.withResolvers<void>()
  const slow = endpoint({
    method: 'get',
    path: '/slow',
    auth: 'none',
    async handle() {
      await isSlow
      return { slow: true }
    },
  })
  const poll = endpoint({
    method: 'get',
    path: '/poll',
    auth: 'none',
    async handle(ctx) {
      await new Promise<void>((resolve) => ctx.closing.addEventListener('abort', () => resolve()))
      return { polled: true }
    },
  })
  await using server = await startTestServer()
  const running = await startServer(server.ctx, { port: 0, endpoints: [slow, poll] })
  const agent = new Agent({ keepAlive: true })
  const accepted: Promise<unknown>[] = []
  const ask = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const sent = request({ port: running.port, path, agent }, async (response) => {
        let text = ''
        for await (const chunk of response) text += chunk
        resolve(text)
      })
      accepted.push(new Promise((done) => sent.once('finish', done)))
      sent.once('error', reject)
      sent.end()
    })
  const answers = [ask('/slow'), ask('/poll')]
  await Promise.all(accepted)
  // An answer to a third request shows that the first two have arrived.
  await fetch(`http://127.0.0.1:${running.port}/x`)
  const closed = running.close()
  expect(await answers[1]).toBe('{"polled":true}')
  finishSlow()
  expect(await answers[0]).toBe('{"slow":true}')
  await closed
  await expect(fetch(`http://127.0.0.1:${running.port}/x`)).rejects.toThrow()
  agent.destroy()
})
