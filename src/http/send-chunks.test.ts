import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { sendChunks } from './send-chunks.ts'

async function listening(listener?: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    server,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** One piece of memory, told again and again with something else in it. */
async function* overwritten(times: number): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(65_536)
  for (let value = 0; value < times; value++) yield chunk.fill(value)
  chunk.fill(255)
}

test('what a reader gets is what each chunk was when it was given, however slowly it reads', async () => {
  await using at = await listening((_request, response) => void sendChunks(response, overwritten(200)))
  const response = await fetch(`http://127.0.0.1:${at.port}/`)
  let length = 0
  for await (const part of response.body!) {
    await setImmediate()
    for (let index = 0; index < part.length; index += 4096) {
      expect(part[index]).toBe(Math.floor((length + index) / 65_536))
    }
    length += part.length
  }
  expect(length).toBe(200 * 65_536)
})

test('it ends when the client goes, even before its turn has come', async () => {
  const responses: ServerResponse[] = []
  await using at = await listening((_request, response) => void responses.push(response))
  const client = connect(at.port, '127.0.0.1')
  client.write('GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
  while (responses.length < 2) await once(at.server, 'request')
  let asked = 0
  const counted = async function* () {
    for await (const chunk of overwritten(1000)) {
      asked++
      yield chunk
    }
  }
  const sending = Promise.all(responses.map((response) => sendChunks(response, counted())))
  client.destroy()
  await sending
  expect(asked).toBeLessThan(2000)
})
