import { type Static, type TObject, type TSchema, Type } from '@sinclair/typebox'

/** Keys that hold secrets: never printed, and also read from a file named by the environment (`…_FILE`). */
const secret = { secret: true } as const

const positive = { minimum: 1 } as const

/** A section whose keys all have defaults, or are optional; a key it does not know is refused. */
function section<T extends Record<string, TSchema>>(keys: T): TObject<T> {
  return Type.Object(keys, { additionalProperties: false, default: {} })
}

/** Token bucket: `burst_count` requests at once, then `per_second`. The defaults are Synapse's. */
function rate(perSecond: number, burstCount: number) {
  return section({
    per_second: Type.Number({ exclusiveMinimum: 0, default: perSecond }),
    burst_count: Type.Integer({ ...positive, default: burstCount }),
  })
}

/** Somebody who helps, by one of two ways at least. */
const supportContact = Type.Object(
  {
    role: Type.String({ minLength: 1 }),
    matrix_id: Type.Optional(Type.String({ pattern: '^@[^:]*:.+' })),
    email_address: Type.Optional(Type.String({ pattern: '^[^@\\s]+@[^@\\s]+$' })),
  },
  { additionalProperties: false, minProperties: 2 },
)

const domain = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    public_baseurl: Type.Optional(Type.String({ pattern: '^https?://[^/?#]+(/[^?#]*)?$' })),
    hosts: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    support_page: Type.Optional(Type.String({ pattern: '^https?://' })),
    support_contacts: Type.Optional(Type.Array(supportContact)),
  },
  { additionalProperties: false },
)

const base64Key = Type.String({ pattern: '^[A-Za-z0-9+/_-]{43}=?$' })
const keyId = '^ed25519:[A-Za-z0-9_]+$'

/** The keys of another server, as the specification writes what a server publishes of its own. */
const pinnedKeys = Type.Object(
  {
    server_name: Type.String({ minLength: 1 }),
    verify_keys: Type.Record(Type.String({ pattern: keyId }), base64Key, { default: {} }),
    old_verify_keys: Type.Record(
      Type.String({ pattern: keyId }),
      Type.Object({ key: base64Key, expired_ts: Type.Integer({ minimum: 0 }) }, { additionalProperties: false }),
      { default: {} },
    ),
  },
  { additionalProperties: false },
)

/** Where calls are carried. What else it says depends on its type, and is the clients' business. */
const rtcTransport = Type.Object({ type: Type.String({ minLength: 1 }) })

/** A duration that may be left open. */
const openSeconds = Type.Optional(Type.Integer(positive))

export const configSchema = section({
  server_names: Type.Array(Type.String({ minLength: 1 }), { default: ['localhost'] }),
  domains: Type.Array(domain, { default: [] }),
  data_dir: Type.String({ minLength: 1, default: './data' }),
  host: Type.String({ minLength: 1, default: '127.0.0.1' }),
  port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8008 }),
  trusted_proxies: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
  shutdown_timeout_seconds: Type.Integer({ ...positive, default: 30 }),
  database: section({
    url: Type.Optional(Type.String({ minLength: 1, ...secret })),
    allow_unsafe_durability: Type.Boolean({ default: false }),
  }),
  redis: section({
    url: Type.Optional(Type.String({ minLength: 1, ...secret })),
    prefix: Type.String({ minLength: 1, default: 'chappe' }),
  }),
  log: section({
    level: Type.Union(
      [
        Type.Literal('fatal'),
        Type.Literal('error'),
        Type.Literal('warn'),
        Type.Literal('info'),
        Type.Literal('debug'),
        Type.Literal('trace'),
        Type.Literal('silent'),
      ],
      { default: 'info' },
    ),
    requests: Type.Boolean({ default: false }),
    addresses: Type.Union([Type.Literal('none'), Type.Literal('network'), Type.Literal('full')], { default: 'none' }),
  }),
  metrics: section({
    token: Type.Optional(Type.String({ minLength: 8, ...secret })),
  }),
  tracing: section({
    endpoint: Type.Optional(Type.String({ pattern: '^https?://' })),
    authorization: Type.Optional(Type.String({ minLength: 1, ...secret })),
    sample_ratio: Type.Number({ minimum: 0, maximum: 1, default: 1 }),
    service_name: Type.String({ minLength: 1, default: 'chappe' }),
  }),
  registration: section({
    mode: Type.Union([Type.Literal('closed'), Type.Literal('token'), Type.Literal('open')], { default: 'closed' }),
    shared_secret: Type.Optional(Type.String({ minLength: 8, ...secret })),
    allow_guests: Type.Boolean({ default: false }),
    terms: section({
      url: Type.Optional(Type.String({ pattern: '^https?://' })),
      name: Type.String({ minLength: 1, default: 'Terms of service' }),
      version: Type.String({ minLength: 1, default: '1.0' }),
    }),
  }),
  passwords: section({
    enabled: Type.Boolean({ default: true }),
    argon2_memory_kib: Type.Integer({ minimum: 8, default: 19_456 }),
    argon2_passes: Type.Integer({ ...positive, default: 2 }),
    minimum_length: Type.Integer({ ...positive, maximum: 512, default: 8 }),
    require_digit: Type.Boolean({ default: false }),
    require_symbol: Type.Boolean({ default: false }),
    require_lowercase: Type.Boolean({ default: false }),
    require_uppercase: Type.Boolean({ default: false }),
  }),
  sessions: section({
    refreshable_token_lifetime_seconds: Type.Integer({ ...positive, default: 300 }),
    token_lifetime_seconds: Type.Optional(Type.Integer(positive)),
    refresh_token_lifetime_seconds: Type.Optional(Type.Integer(positive)),
    login_token_lifetime_seconds: Type.Integer({ ...positive, default: 120 }),
    login_token_enabled: Type.Boolean({ default: false }),
    interactive_auth_lifetime_seconds: Type.Integer({ ...positive, default: 900 }),
    allow_query_access_token: Type.Boolean({ default: false }),
  }),
  rooms: section({
    default_version: Type.String({ minLength: 1, default: '12' }),
    allow_public_directory: Type.Boolean({ default: true }),
    directory_requires_login: Type.Boolean({ default: true }),
    encrypt_by_default: Type.Boolean({ default: false }),
    invite_limit_per_creation: Type.Integer({ ...positive, default: 100 }),
  }),
  user_directory: section({
    search_all_users: Type.Boolean({ default: false }),
  }),
  search: section({
    enabled: Type.Boolean({ default: false }),
  }),
  app_service_config_files: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
  turn: section({
    uris: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    shared_secret: Type.Optional(Type.String({ minLength: 8, ...secret })),
    lifetime_seconds: Type.Integer({ ...positive, default: 86_400 }),
  }),
  matrix_rtc: section({
    transports: Type.Array(rtcTransport, { default: [] }),
  }),
  retention: section({
    default_policy: section({ min_lifetime_seconds: openSeconds, max_lifetime_seconds: openSeconds }),
    limits: section({
      min_lifetime: section({ min_seconds: openSeconds, max_seconds: openSeconds }),
      max_lifetime: section({ min_seconds: openSeconds, max_seconds: openSeconds }),
    }),
  }),
  presence: section({
    enabled: Type.Boolean({ default: false }),
  }),
  push: section({
    include_content: Type.Boolean({ default: false }),
    group_unread_count_by_room: Type.Boolean({ default: true }),
    allow_addresses: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    allow_insecure_http: Type.Boolean({ default: false }),
  }),
  media: section({
    path: Type.Optional(Type.String({ minLength: 1 })),
    max_upload_size: Type.Integer({ ...positive, default: 52_428_800 }),
    max_image_pixels: Type.Integer({ ...positive, default: 33_554_432 }),
    unused_expires_seconds: Type.Integer({ ...positive, default: 86_400 }),
    max_pending_uploads: Type.Integer({ ...positive, default: 5 }),
    allow_legacy_unauthenticated: Type.Boolean({ default: true }),
  }),
  url_previews: section({
    enabled: Type.Boolean({ default: false }),
    allow_hosts: Type.Array(Type.String({ minLength: 1 }), { default: ['*'] }),
    deny_hosts: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    allow_addresses: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    ports: Type.Array(Type.Integer({ minimum: 1, maximum: 65_535 }), { default: [80, 443] }),
    accept_language: Type.String({ pattern: '^[\\x20-\\x7e]{1,100}$', default: 'en' }),
    max_page_bytes: Type.Integer({ ...positive, default: 2_097_152 }),
    max_image_bytes: Type.Integer({ ...positive, default: 10_485_760 }),
    cache_seconds: Type.Integer({ ...positive, default: 3600 }),
  }),
  rate_limits: section({
    enabled: Type.Boolean({ default: true }),
    message: rate(0.2, 10),
    registration: rate(0.17, 3),
    registration_token_validity: rate(0.1, 5),
    login_address: rate(0.003, 5),
    login_account: rate(0.003, 5),
    login_failed: rate(0.17, 3),
    join_local: rate(0.1, 10),
    join_remote: rate(0.01, 10),
    join_room: rate(1, 10),
    invite_room: rate(0.3, 10),
    invite_user: rate(0.003, 5),
    invite_issuer: rate(0.3, 10),
    third_party_invite: rate(0.0025, 5),
    room_creation: rate(0.016, 10),
    key_requests: rate(20, 100),
    media_create: rate(10, 50),
    remote_media: rate(1, 500),
    presence: rate(0.1, 1),
    delayed_events: rate(1, 5),
    reports: rate(1, 5),
    rendezvous: rate(10, 100),
    rendezvous_creation: rate(0.1, 10),
    user_directory: rate(0.016, 200),
    elsewhere: rate(5, 20),
    search: rate(1, 20),
    url_previews: rate(1, 20),
    key_query: rate(5, 50),
    federation: rate(50, 500),
    admin_refused: rate(0.1, 10),
    mail_address: rate(0.003, 5),
    mail_requests: rate(0.02, 5),
    mail_wrong_tokens: rate(0.02, 10),
    third_party_binds: rate(1, 10),
  }),
  federation: section({
    allow: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    deny: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    dry_run: Type.Boolean({ default: false }),
    allow_addresses: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
    tls_cert_file: Type.Optional(Type.String({ minLength: 1 })),
    tls_key_file: Type.Optional(Type.String({ minLength: 1 })),
    ca_file: Type.Optional(Type.String({ minLength: 1 })),
    fast_joins: Type.Boolean({ default: true }),
    members_told_at_once: Type.Integer({ minimum: 0, default: 50 }),
    notaries: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    pinned_keys: Type.Array(pinnedKeys, { default: [] }),
    insecure_http: Type.Boolean({ default: false }),
  }),
  policy_server: section({
    enabled: Type.Boolean({ default: false }),
    refused_message_types: Type.Array(Type.String({ minLength: 1 }), { default: [], maxItems: 100 }),
    refused_texts: Type.Array(Type.String({ minLength: 1 }), { default: [], maxItems: 1000 }),
    max_mentions: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  admin: section({
    host: Type.String({ minLength: 1, default: '127.0.0.1' }),
    port: Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 })),
    on_client_listener: Type.Boolean({ default: false }),
  }),
  server_notices: section({
    localpart: Type.Optional(Type.String({ pattern: '^[a-z0-9._=/+-]+$' })),
    display_name: Type.String({ minLength: 1, default: 'Server notices' }),
    avatar_url: Type.Optional(Type.String({ pattern: '^mxc://[^/]+/[^/]+$' })),
    room_name: Type.String({ minLength: 1, default: 'Server notices' }),
    room_topic: Type.Optional(Type.String({ minLength: 1 })),
    auto_join: Type.Boolean({ default: false }),
  }),
  mail: section({
    host: Type.Optional(Type.String({ minLength: 1 })),
    port: Type.Integer({ minimum: 1, maximum: 65_535, default: 587 }),
    tls: Type.Union([Type.Literal('starttls'), Type.Literal('implicit'), Type.Literal('none')], {
      default: 'starttls',
    }),
    ca_file: Type.Optional(Type.String({ minLength: 1 })),
    user: Type.Optional(Type.String({ minLength: 1 })),
    password: Type.Optional(Type.String({ minLength: 1, ...secret })),
    from: Type.Optional(Type.String({ minLength: 3 })),
    app_name: Type.String({ minLength: 1, default: 'Matrix' }),
    templates_dir: Type.Optional(Type.String({ minLength: 1 })),
    default_language: Type.Union([Type.Literal('en'), Type.Literal('fr'), Type.Literal('de')], { default: 'en' }),
    link_lifetime_seconds: Type.Integer({ ...positive, default: 3600 }),
    required_to_register: Type.Boolean({ default: false }),
    hide_existence: Type.Boolean({ default: true }),
    next_link_domains: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    allow_changes: Type.Boolean({ default: true }),
    identity_servers: Type.Array(Type.String({ pattern: '^(https?://)?[A-Za-z0-9.:[\\]-]+$' }), { default: [] }),
    notifications: Type.Boolean({ default: true }),
    digest_delay_seconds: Type.Integer({ ...positive, default: 600 }),
    include_content: Type.Boolean({ default: false }),
  }),
  delayed_events: section({
    max_delay_seconds: Type.Integer({ ...positive, default: 86_400 }),
    max_per_user: Type.Integer({ ...positive, default: 100 }),
  }),
  experimental: section({
    msc4140: Type.Boolean({ default: true }),
    msc4155: Type.Boolean({ default: true }),
    msc2666: Type.Boolean({ default: true }),
    msc3881: Type.Boolean({ default: true }),
    msc3391: Type.Boolean({ default: true }),
    msc3757: Type.Boolean({ default: false }),
    msc3814: Type.Boolean({ default: true }),
    msc3874: Type.Boolean({ default: true }),
    msc3890: Type.Boolean({ default: true }),
    msc1763: Type.Boolean({ default: false }),
    msc2000: Type.Boolean({ default: false }),
    msc4143: Type.Boolean({ default: true }),
    msc4108: Type.Boolean({ default: false }),
    msc4388: Type.Boolean({ default: true }),
    msc3930: Type.Boolean({ default: true }),
    msc4028: Type.Boolean({ default: false }),
    msc4429: Type.Boolean({ default: true }),
    msc4354: Type.Boolean({ default: false }),
    msc4306: Type.Boolean({ default: false }),
    legacy_mentions: Type.Boolean({ default: false }),
    sliding_sync: Type.Boolean({ default: true }),
  }),
})

export type Config = Static<typeof configSchema>
export type DomainConfig = Static<typeof domain>
export type LogLevel = Config['log']['level']
export type RateLimitKind = Exclude<keyof Config['rate_limits'], 'enabled'>
