import { encodeBase64 } from '../src/matrix/base64.ts'
import type { RoomRules } from '../src/matrix/room-versions.ts'
import { POLICY_SERVER_KEY_ID, type SigningKey, signEvent, signingKeyFromSeed } from '../src/matrix/signatures.ts'
import type { Answer } from '../src/testing/test-client.ts'
import { type HostileAnswer, type HostileServer, startHostileServer } from './hostile-server.fixtures.ts'

/** A server that is asked whether it recommends events. It does, unless a test says otherwise. */
export type TestPolicyServer = {
  readonly server: HostileServer
  /** The content of `m.room.policy` that names it. */
  readonly content: { readonly via: string; readonly public_keys: { readonly ed25519: string } }
  /** What it was asked about, in order. */
  readonly judged: Answer[]
  /** What it answers in place of its signature. */
  refuse: (pdu: Answer) => HostileAnswer | undefined | Promise<HostileAnswer | undefined>
  readonly sign: (pdu: Answer, key?: SigningKey) => Answer
  [Symbol.asyncDispose](): Promise<void>
}

export async function startPolicyServer(rules: RoomRules): Promise<TestPolicyServer> {
  const server = await startHostileServer()
  const key = signingKeyFromSeed('policy_server', Buffer.alloc(32, 21))
  const judged: Answer[] = []
  const policyServer: TestPolicyServer = {
    server,
    content: { via: server.name, public_keys: { ed25519: encodeBase64(key.publicKey) } },
    judged,
    refuse: () => undefined,
    sign: (pdu, by = key) => ({
      [server.name]: {
        [POLICY_SERVER_KEY_ID]: signEvent(pdu, server.name, by, rules).signatures[server.name]![by.keyId],
      },
    }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
  server.answer = async ({ method, path, body }) => {
    if (method !== 'POST' || path !== '/_matrix/policy/v1/sign') return undefined
    judged.push(body)
    return (await policyServer.refuse(body)) ?? { body: policyServer.sign(body) }
  }
  return policyServer
}
