type Settings = readonly (readonly [name: string, value: string])[]

/** For a small machine that PostgreSQL shares with the server. */
const settings: Settings = [
  ['listen_addresses', ''],
  ['unix_socket_permissions', '0700'],
  ['max_connections', '40'],
  ['shared_buffers', '96MB'],
  ['effective_cache_size', '512MB'],
  ['work_mem', '8MB'],
  ['maintenance_work_mem', '64MB'],
  ['wal_buffers', '8MB'],
  ['max_wal_size', '1GB'],
  ['min_wal_size', '128MB'],
  // For pg_basebackup, which is how a running server is backed up.
  ['wal_level', 'replica'],
  ['max_wal_senders', '2'],
  ['checkpoint_completion_target', '0.9'],
  ['random_page_cost', '1.1'],
  ['jit', 'off'],
  ['full_page_writes', 'on'],
  ['max_parallel_workers_per_gather', '0'],
  ['autovacuum_vacuum_scale_factor', '0.1'],
  ['log_min_messages', 'warning'],
  ['log_timezone', 'UTC'],
  ['timezone', 'UTC'],
]

const safe: Settings = [
  ['fsync', 'on'],
  ['synchronous_commit', 'on'],
]
const testing: Settings = [
  ['max_connections', '400'],
  ['fsync', 'off'],
  ['synchronous_commit', 'off'],
]

/** How the embedded PostgreSQL runs. Tests open more connections, and need nothing to survive a loss of power. */
export function postgresSettings(forTests: boolean): Settings {
  return [...settings, ...(forTests ? testing : safe)]
}
