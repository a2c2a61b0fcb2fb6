import { restrictAccount } from '../accounts/restrict-account.ts'
import { type Answer, startTestServer, type TestClient, type TestServer, type TestServerOptions } from './index.ts'

/** A server whose administrators are served beside the clients, and one of them. */
export async function startAdministered(
  options: TestServerOptions = {},
): Promise<{ server: TestServer; root: TestClient }> {
  const server = await startTestServer({
    ...options,
    config: { admin: { on_client_listener: true }, ...options.config },
  })
  return { server, root: await administrator(server) }
}

export async function administrator(server: TestServer, name = 'root'): Promise<TestClient> {
  const client = await server.register(name)
  const userNid = (await server.ctx.dictionaries.findUsers([client.userId])).get(client.userId)!
  await restrictAccount(server.ctx, { userId: client.userId, userNid }, { isAdmin: true })
  return client
}

/** Asks for the state of a job until it has ended; fails by the test's own time limit. */
export async function ended(client: TestClient, path: string): Promise<Answer> {
  for (;;) {
    const answer = await client.get(path)
    const status = (answer.results?.[0] ?? answer).status
    if (status === 'complete' || status === 'failed') return answer
  }
}
