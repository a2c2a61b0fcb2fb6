import type { Generated, GeneratedAlways } from 'kysely'

/**
 * The tables, as rows are read. Columns keep the specification's snake_case names. A test compares this with the
 * migrated database.
 */
export type Tables = CoreTables &
  AccountTables &
  KeyTables &
  MediaTables &
  ReportTables &
  FederationTables &
  PushTables &
  ApplicationServiceTables &
  SlidingSyncTables &
  AdministrationTables &
  MailTables &
  PresenceTables &
  DelayedEventTables &
  ThreadTables &
  DehydratedDeviceTables &
  RendezvousTables &
  StickyTables &
  ProfileTables &
  SearchTables &
  PreviewTables

type PreviewTables = {
  url_previews: { url: string; preview: string; expires_at: number }
  url_preview_images: { server_name: string; media_id: string; used_at: number }
}

type SearchTables = {
  searchable_events: {
    event_nid: number
    key: number
    words: string
    room: number
    sender: number
    timeline: number
    origin_server_ts: number
  }
  search_progress: { only_row: Generated<boolean>; below: number }
}

type ProfileTables = {
  profile_changes: { user_nid: number; field: string; position: number }
}

type StickyTables = {
  sticky_events: { event_nid: number; room: number; expires_at: number }
}

type RendezvousTables = {
  rendezvous_sessions: { id: string; data: Buffer; sequence_token: string; modified_at: number; expires_at: number }
}

type DehydratedDeviceTables = {
  dehydrated_devices: { user_nid: number; device_id: string; device_data: string }
}

type ThreadTables = {
  thread_subscriptions: {
    user_nid: number
    room: number
    event_nid: number
    subscribed: boolean
    automatic: boolean
    position: number
  }
}

type DelayedEventTables = {
  delayed_events: {
    delay_id: string
    user_nid: number
    device_id: string
    request: string
    room_id: string
    type: string
    state_key: string | null
    content: string
    origin_server_ts: number | null
    sticky_ms: number | null
    delay: number
    running_since: number
    send_at: number
    is_sending: Generated<boolean>
  }
}

type PresenceTables = {
  presence_statuses: { user_nid: number; status_msg: string }
}

type CoreTables = {
  stream: { only_row: Generated<boolean>; position: number }
  users: { user_nid: Generated<number>; user_id: string }
  event_kinds: { kind: Generated<number>; type: string; state_key: string | null }
  rooms: {
    room: Generated<number>
    room_id: string
    room_version: string
    version: Generated<number>
    extremities: Generated<number[]>
    notify_count: Generated<number>
    highlight_count: Generated<number>
    joined_members: Generated<number>
    invited_members: Generated<number>
    depth: Generated<number>
    partial_state: Generated<boolean>
  }
  events: {
    event_nid: number
    room: number
    timeline: number | null
    event_id: Buffer
    kind: number
    sender: number
    depth: number
    origin_server_ts: number
    flags: number
    notify_index: number
    highlight_index: number
    state_delta: number | null
    edges: Buffer | null
    proof: Buffer | null
    content: string
    rest: string | null
    redacted_by: number | null
  }
  missing_events: { room: number; event_id: Buffer; referenced_by: number }
  pending_redactions: { room: number; event_id: Buffer; redaction: number }
  room_state: {
    room: number
    kind: number
    is_member: boolean
    from_position: number
    to_position: number | null
    event_nid: number | null
  }
  state_deltas: {
    state_delta: Generated<number>
    room: number
    base_position: number
    kinds: number[]
    event_nids: number[]
    digest: Buffer
  }
  room_users: {
    user_nid: number
    room: number
    membership: number
    event_nid: number
    since: number
    forgotten: Generated<boolean>
    read_position: Generated<number>
    read_notify_index: Generated<number>
    read_highlight_index: Generated<number>
    threads_read_position: Generated<number>
    name_words: string | null
  }
  push_exceptions: { user_nid: number; room: number; event_nid: number; notify: number; highlight: number }
  event_relations: {
    room: number
    parent: Buffer
    relation: string
    event_nid: number
    kind: number
    sender: number
    key: string | null
  }
  transactions: {
    user_nid: number
    device_id: string
    scope: string
    txn_id: string
    event_nid: number
    created: number
  }
  receipts: {
    room: number
    user_nid: number
    receipt_type: string
    thread_id: string
    event_nid: number
    ts: number
    position: number
  }
  account_data: { user_nid: number; room: number; type: string; content: string; position: number }
  to_device: { position: number; user_nid: number; device_id: string; content: string }
  device_list_changes: { position: number; user_nid: number; reader_nid: number | null }
  room_aliases: { alias: string; room: number; creator: number; created: number }
  filters: { user_nid: number; filter_id: number; content: string }
  profiles: { user_nid: number; fields: string }
  published_rooms: { server_name: string; room: number }
}

// -- accounts, devices and sessions (migrations/0002-accounts.sql) --------------------------------------------------

type AccountTables = {
  accounts: {
    user_nid: number
    password_hash: string | null
    is_admin: Generated<boolean>
    is_guest: Generated<boolean>
    locked: Generated<boolean>
    suspended: Generated<boolean>
    created_at: number
    deactivated_at: number | null
    erased: Generated<boolean>
    terms_version: string | null
    user_type: string | null
    messages_per_second: number | null
    messages_burst_count: number | null
    cross_signing_reset_until: number | null
  }
  devices: {
    user_nid: number
    device_id: string
    display_name: string | null
    created_at: number
    last_seen_at: number | null
    last_seen_ip: string | null
    last_seen_agent: string | null
  }
  refresh_tokens: {
    refresh_token: Generated<number>
    token_hash: Buffer
    chain_hash: Buffer
    user_nid: number
    device_id: string
    created_at: number
    expires_at: number | null
    successor: number | null
  }
  access_tokens: {
    token_hash: Buffer
    user_nid: number
    device_id: string
    created_at: number
    expires_at: number | null
    refresh_token: number | null
    used: Generated<boolean>
  }
  registration_tokens: {
    token: string
    uses_allowed: number | null
    pending: Generated<number>
    completed: Generated<number>
    expires_at: number | null
  }
  one_time_tokens: { kind: string; token_hash: Buffer; user_nid: number | null; expires_at: number }
  interactive_sessions: {
    session_hash: Buffer
    request_mac: Buffer
    created_at: number
    completed: Generated<string[]>
    registration_token: string | null
    mail_sid: string | null
  }
}

// -- end-to-end encryption (migrations/0003-keys.sql) ----------------------------------------------------------------

type KeyTables = {
  device_keys: { user_nid: number; device_id: string; content: string }
  one_time_keys: {
    user_nid: number
    device_id: string
    algorithm: string
    key_id: string
    uploaded: GeneratedAlways<number>
    content: string
    digest: Buffer
  }
  claimed_keys: { user_nid: number; device_id: string; digest: Buffer; claimed_at: number }
  fallback_keys: {
    user_nid: number
    device_id: string
    algorithm: string
    key_id: string
    content: string
    digest: Buffer
    used: Generated<boolean>
  }
  cross_signing_keys: { user_nid: number; usage: string; public_key: string; content: string }
  key_signatures: {
    target_nid: number
    target_key: string
    signer_nid: number
    signer_key: string
    signature: string
  }
  unannounced_device_lists: { change: GeneratedAlways<number>; user_nid: number }
  key_backups: {
    user_nid: number
    version: number
    algorithm: string
    auth_data: string
    etag: Generated<number>
    key_count: Generated<number>
    deleted: Generated<boolean>
  }
  backed_up_keys: {
    user_nid: number
    version: number
    room_id: string
    session_id: string
    first_message_index: number
    forwarded_count: number
    is_verified: boolean
    session_data: string
  }
}

// -- media (migrations/0005-media.sql) -------------------------------------------------------------------------------

type MediaTables = {
  blobs: { sha256: Buffer; size: number; created_at: number }
  media: {
    server_name: string
    media_id: string
    uploader: number | null
    created_at: number
    sha256: Buffer | null
    expires_at: number | null
    content_type: string | null
    filename: string | null
    quarantined_by: string | null
    protected: Generated<boolean>
  }
  quarantine_changes: { change: GeneratedAlways<number>; server_name: string; media_id: string; quarantined: boolean }
  thumbnails: {
    source: Buffer
    variant: string
    sha256: Buffer | null
    content_type: string | null
    problem: string | null
  }
}

// -- reports (migrations/0010-reports.sql) ----------------------------------------------------------------------------

type ReportTables = {
  reports: {
    report: Generated<number>
    reporter: number
    received_at: number
    room: number | null
    event_nid: number | null
    reported_user: number | null
    reason: string | null
  }
}

// -- federation (migrations/0007, 0020, 0021) ----------------------------------------------------------------------

type FederationTables = {
  server_keys: {
    server_name: string
    key_id: string
    public_key: Buffer
    valid_until: number
    is_old: boolean
    fetched_at: number
  }
  partial_rooms: {
    room: number
    join_event: string
    told_by: string
    servers: string[]
    completed_at: number | null
    corrected: Generated<boolean>
    returned: Generated<boolean>
    kept_until: Generated<number>
  }
  server_key_answers: { server_name: string; answer: string; valid_until: number }
  destinations: {
    server_name: string
    acked_position: number
    failures: Generated<number>
    retry_at: Generated<number>
    origin: Generated<string>
    owner: string | null
    owned_until: Generated<number>
    missed_after: number | null
    missed_up_to: number | null
  }
  relayed_events: { event_id: Buffer; origin: Generated<string> }
  remote_memberships: {
    user_nid: number
    room: number
    membership: number
    position: number
    pdu: string
    stripped: string
    servers: string
  }
  remote_device_lists: { user_nid: number; content: string; position: number }
  outgoing_to_device: { position: number; origin: string; server_name: string; content: string }
  staged_events: {
    position: GeneratedAlways<number>
    room: number
    event_id: Buffer
    origin: string
    event: string
    staged_at: number
    tries: Generated<number>
    try_at: number
  }
  incoming_transactions: { origin: string; txn_id: string; answer: string; received_at: number }
}

// -- push gateways (migrations/0040-pushers.sql) -----------------------------------------------------------------------

type PushTables = {
  pushers: {
    pusher: GeneratedAlways<number>
    user_nid: number
    device_id: string | null
    app_id: string
    pushkey: string
    kind: string
    app_display_name: string
    device_display_name: string
    profile_tag: string | null
    lang: string
    data: string
    enabled: Generated<boolean>
    created_at: number
    position: number
    badge: number | null
    failures: Generated<number>
    failing_since: number | null
    retry_at: Generated<number>
    unsubscribe_token: string | null
  }
  stream_followers: { name: string; position: number }
}

// -- application services (migrations/0041-application-services.sql) ----------------------------------------------------

type ApplicationServiceTables = {
  application_services: {
    service_id: string
    position: number
    last_transaction: Generated<number>
    pending: string | null
    failures: Generated<number>
    retry_at: Generated<number>
  }
  network_rooms: { service_id: string; network_id: string; room: number }
}

// -- sliding sync (migrations/0030-sliding-sync.sql) ------------------------------------------------------------------

type SlidingSyncTables = {
  sliding_sync_states: {
    state: GeneratedAlways<number>
    user_nid: number
    device_id: string
    conn_id: string
    content: string
  }
}

// -- administration (migrations/0060, 0061, 0062) --------------------------------------------------------------------

type AdministrationTables = {
  audit_log: {
    entry: GeneratedAlways<number>
    at: number
    actor: string | null
    address: string
    operation: string
    target: string | null
    details: string | null
  }
  audit_outcomes: { entry: number; at: number; status: number; errcode: string | null }
  external_ids: { provider: string; external_id: string; user_nid: number }
  blocked_rooms: { room_id: string; blocked_by: string; blocked_at: number; until_purged: Generated<boolean> }
  admin_jobs: {
    job_id: string
    attempts: Generated<number>
    kind: string
    subject: string
    parameters: string
    requested_by: string
    created_at: number
    status: Generated<string>
    result: Generated<string>
    error: string | null
    ended_at: number | null
  }
  server_notice_rooms: { user_nid: number; room: number }
}

// -- mail (migrations/0063, 0064) --------------------------------------------------------------------------------------

type MailTables = {
  threepids: { medium: string; address: string; user_nid: number; validated_at: number; added_at: number }
  mail_validations: {
    sid: string
    purpose: string
    secret_hash: Buffer
    address: string
    send_attempt: number
    token_hash: Buffer | null
    next_link: string | null
    created_at: number
    validated_at: number | null
    used: Generated<boolean>
  }
  threepid_binds: { user_nid: number; medium: string; address: string; id_server: string }
  mail_digests: { pusher: number; since: number; due_at: number; items: string; failures: Generated<number> }
}
