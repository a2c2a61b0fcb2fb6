import { createHash } from 'node:crypto'
import { signingKeyFromSeed, signJson } from '../matrix/signatures.ts'
import {
  type RecordedAnswer,
  type RecordedRequest,
  type RecordingServer,
  startRecordingServer,
} from './recording-server.ts'

const pepper = 'a pepper'

/** An identity server as the specification has it, which knows what a test tells it. */
export class TestIdentityServer {
  readonly recording: RecordingServer
  /** Users by mail address. */
  readonly bound = new Map<string, string>()
  /** What is answered in place of the usual, by path. */
  readonly answers = new Map<string, RecordedAnswer>()
  /** Invites that wait, in the order in which they came. */
  readonly invites: { address: string; room_id: string; sender: string; token: string }[] = []
  readonly #key = signingKeyFromSeed('1', Buffer.alloc(32, 7))

  constructor(recording: RecordingServer) {
    this.recording = recording
    recording.answer = (request) =>
      this.answers.get(request.path.slice('/_matrix/identity/v2'.length)) ?? this.#answer(request)
  }

  get name(): string {
    return new URL(this.recording.url).host
  }

  /** What it tells a homeserver once an address is bound. */
  onBind(address: string, mxid: string): object {
    const invites = this.invites
      .filter((invite) => invite.address === address)
      .map(({ room_id, sender, token }) => {
        const signed = signJson({ mxid, sender, token }, this.name, this.#key)
        return { medium: 'email', address, mxid, room_id, sender, signed }
      })
    return { medium: 'email', address, mxid, invites }
  }

  #answer({ method, path, body }: RecordedRequest): RecordedAnswer {
    switch (`${method} ${path.slice('/_matrix/identity/v2'.length)}`) {
      case 'GET /hash_details':
        return { body: { lookup_pepper: pepper, algorithms: ['none', 'sha256'] } }
      case 'POST /lookup': {
        const hashed = (address: string) =>
          createHash('sha256').update(`${address} email ${pepper}`).digest('base64url')
        const found = [...this.bound].filter(([address]) => body.addresses.includes(hashed(address)))
        return { body: { mappings: Object.fromEntries(found.map(([address, userId]) => [hashed(address), userId])) } }
      }
      case 'POST /store-invite': {
        const token = `token${this.invites.length}`
        this.invites.push({ address: body.address, room_id: body.room_id, sender: body.sender, token })
        const key = Buffer.from(this.#key.publicKey).toString('base64').replaceAll('=', '')
        const public_keys = [{ public_key: key, key_validity_url: 'http://127.0.0.1:1/never/opened' }]
        return { body: { token, public_keys, display_name: 'b...@b...' } }
      }
      case 'POST /3pid/bind':
        return { body: { address: 'bob@b.example', medium: 'email', mxid: body.mxid, signatures: {} } }
      case 'POST /3pid/unbind':
        return { body: {} }
      default:
        return { status: 404, body: { errcode: 'M_UNRECOGNIZED', error: '?' } }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.recording[Symbol.asyncDispose]()
  }
}

export async function startIdentityServer(): Promise<TestIdentityServer> {
  return new TestIdentityServer(await startRecordingServer())
}
