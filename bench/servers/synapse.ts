import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Authority } from '../../complement-tests/certificates.ts'
import { pythonWithSynapse, synapseVersion } from '../../complement-tests/install-synapse.ts'
import { freePort } from '../../complement-tests/program.ts'
import { answering } from './answering.ts'
import { startDatabase } from './database.ts'
import { registersBy, writeRegistration } from './registration.ts'
import type { BenchServer } from './server.ts'

const much = { per_second: 1_000_000, burst_count: 1_000_000 }

/** Synapse as it is installed, in one process, on the same PostgreSQL; without limits on rates and at its default caches. */
export async function startSynapse({ authority }: { authority: Authority }): Promise<BenchServer> {
  const python = await pythonWithSynapse()
  const folder = mkdtempSync(join(tmpdir(), 'chappe-bench-synapse-'))
  const database = await startDatabase(join(folder, 'postgres'), 100)
  const serverName = `localhost:${await freePort()}`
  const port = await freePort()
  const place = new URL(database.url)
  const config = join(folder, 'homeserver.yaml')
  writeFileSync(
    config,
    stringify({
      ...settings,
      server_name: serverName,
      signing_key_path: join(folder, 'signing.key'),
      media_store_path: join(folder, 'media'),
      pid_file: join(folder, 'pid'),
      log_config: writeLogConfig(folder),
      registration_shared_secret: registersBy.sharedSecret,
      app_service_config_files: [writeRegistration(folder)],
      federation_custom_ca_list: [authority.ca],
      listeners: [
        {
          port,
          tls: false,
          type: 'http',
          bind_addresses: ['127.0.0.1'],
          resources: [{ names: ['client', 'federation'], compress: false }],
        },
      ],
      database: {
        name: 'psycopg2',
        args: {
          dbname: place.pathname.slice(1),
          host: place.searchParams.get('host'),
          port: Number(place.searchParams.get('port')),
          user: place.searchParams.get('user'),
          cp_min: 5,
          cp_max: 10,
        },
      },
    }),
  )
  const run = ['-m', 'synapse.app.homeserver', '-c', config]
  execFileSync(python, [...run, '--generate-keys'], { stdio: 'ignore' })
  const log = join(folder, 'output')
  const output = openSync(log, 'a')
  const child = spawn(python, run, { stdio: ['ignore', output, output], cwd: folder })
  closeSync(output)
  const url = `http://127.0.0.1:${port}`
  try {
    await answering(url, child)
  } catch (error) {
    throw new Error(`Synapse does not start: ${readFileSync(log, 'utf8').slice(-2000)}`, { cause: error })
  }
  return {
    name: `Synapse ${synapseVersion}`,
    urls: [url],
    registersBy,
    pids: { server: [child.pid!], database: [database.pid] },
    databaseBytes: () => database.bytes(),
    federation: { serverName, authority },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM')
        await once(child, 'exit')
      }
      await database.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Only what went wrong, as Chappe is run. */
function writeLogConfig(folder: string): string {
  const file = join(folder, 'log.yaml')
  writeFileSync(
    file,
    stringify({
      version: 1,
      handlers: { console: { class: 'logging.StreamHandler' } },
      root: { level: 'WARNING', handlers: ['console'] },
    }),
  )
  return file
}

const settings = {
  report_stats: false,
  presence: { enabled: false },
  enable_registration: false,
  user_directory: { enabled: true, search_all_users: true },
  max_upload_size: '200M',
  url_preview_enabled: false,
  trusted_key_servers: [],
  suppress_key_server_warning: true,
  ip_range_blacklist: [],
  macaroon_secret_key: 'of a benchmark',
  form_secret: 'of a benchmark',
  rc_message: much,
  rc_registration: much,
  rc_login: { address: much, account: much, failed_attempts: much },
  rc_admin_redaction: much,
  rc_joins: { local: much, remote: much },
  rc_joins_per_room: much,
  rc_invites: { per_room: much, per_user: much, per_issuer: much },
  rc_room_creation: much,
  rc_media_create: much,
  rc_presence: { per_user: much },
  rc_user_directory: much,
  rc_federation: { window_size: 1, sleep_limit: 1_000_000, sleep_delay: 1, reject_limit: 1_000_000, concurrent: 1000 },
  remote_media_download_burst_count: '10G',
  remote_media_download_per_second: '10G',
}
