import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Authority } from './certificates.ts'
import { pythonWithSynapse } from './install-synapse.ts'
import { freePort } from './program.ts'

/** Milliseconds that it may take to start. */
const patience = 60_000

/** A Synapse on this machine, as somebody else runs one. */
export type Synapse = AsyncDisposable & {
  readonly name: string
  /** For clients. */
  readonly url: string
  stop(): Promise<void>
  start(): Promise<void>
}

/** Starts a Synapse that speaks TLS with a certificate of the authority, and trusts others that have one. */
export async function startSynapse(authority: Authority): Promise<Synapse> {
  const python = await pythonWithSynapse()
  const folder = mkdtempSync(join(fastestFolder(), 'chappe-synapse-'))
  const [clientPort, federationPort] = [await freePort(), await freePort()]
  const name = `localhost:${federationPort}`
  const url = `http://127.0.0.1:${clientPort}`
  const config = join(folder, 'homeserver.yaml')
  writeFileSync(config, stringify(settings({ name, folder, clientPort, federationPort }, authority)))
  execFileSync(python, ['-m', 'synapse.app.homeserver', '-c', config, '--generate-keys'], { stdio: 'ignore' })
  let child: ChildProcess
  const start = async (): Promise<void> => {
    const log = openSync(join(folder, 'log'), 'a')
    child = spawn(python, ['-m', 'synapse.app.homeserver', '-c', config], { stdio: ['ignore', log, log], cwd: folder })
    closeSync(log)
    const deadline = performance.now() + patience
    while (performance.now() < deadline && child.exitCode === null) {
      const answer = await fetch(`${url}/_matrix/client/versions`).catch(() => undefined)
      if (answer?.ok) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`Synapse does not answer: ${readFileSync(join(folder, 'log'), 'utf8').slice(-2000)}`)
  }
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await start()
  return {
    name,
    url,
    start,
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Memory, where there is some: on a disk its database waits for every event that comes in. */
function fastestFolder(): string {
  try {
    const { bavail, bsize } = statfsSync('/dev/shm')
    return bavail * bsize > 1024 ** 3 ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}

type Place = { name: string; folder: string; clientPort: number; federationPort: number }

function settings({ name, folder, clientPort, federationPort }: Place, authority: Authority): object {
  const { certificate, key } = authority.certify(`synapse-${federationPort}`)
  const much = { per_second: 1000, burst_count: 1000 }
  return {
    server_name: name,
    signing_key_path: join(folder, 'signing.key'),
    media_store_path: join(folder, 'media'),
    pid_file: join(folder, 'pid'),
    tls_certificate_path: certificate,
    tls_private_key_path: key,
    federation_custom_ca_list: [authority.ca],
    ip_range_blacklist: [],
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    report_stats: false,
    listeners: [listener(clientPort, false, 'client'), listener(federationPort, true, 'federation')],
    database: { name: 'sqlite3', args: { database: join(folder, 'homeserver.db') } },
    enable_registration: true,
    enable_registration_without_verification: true,
    allow_public_rooms_over_federation: true,
    room_list_publication_rules: [{ action: 'allow' }],
    bcrypt_rounds: 4,
    macaroon_secret_key: 'of a test',
    form_secret: 'of a test',
    presence: { enabled: true },
    rc_message: much,
    rc_registration: much,
    rc_login: { address: much, account: much, failed_attempts: much },
    rc_joins: { local: much, remote: much },
    rc_joins_per_room: much,
    rc_invites: { per_room: much, per_user: much, per_issuer: much },
    rc_room_creation: much,
    rc_federation: { window_size: 1000, sleep_limit: 1000, sleep_delay: 1, reject_limit: 1000, concurrent: 100 },
    federation_rr_transactions_per_room_per_second: 1000,
    federation: { destination_min_retry_interval: 100, destination_max_retry_interval: 1000 },
  }
}

function listener(port: number, tls: boolean, resource: 'client' | 'federation'): object {
  return {
    port,
    tls,
    type: 'http',
    bind_addresses: ['127.0.0.1'],
    x_forwarded: false,
    resources: [{ names: [resource], compress: false }],
  }
}
