-- Accounts, devices, sessions and what leads to them. Secrets are stored as hashes only.

create table accounts (
  user_nid integer primary key references users,
  -- A PHC string; null when the account has no password.
  password_hash text,
  is_admin boolean not null default false,
  is_guest boolean not null default false,
  locked boolean not null default false,
  suspended boolean not null default false,
  created_at bigint not null,
  deactivated_at bigint,
  -- The user asked that what they wrote be forgotten.
  erased boolean not null default false,
  -- The version of the terms of service the user agreed to.
  terms_version text
);

create table devices (
  user_nid integer not null references users,
  device_id text collate "C" not null,
  display_name text,
  created_at bigint not null,
  last_seen_at bigint,
  last_seen_ip text,
  last_seen_agent text,
  primary key (user_nid, device_id)
) with (fillfactor = 80);

create table refresh_tokens (
  refresh_token bigint generated always as identity primary key,
  token_hash bytea not null unique,
  -- Of the part that all tokens of one log-in have in common: a token that is not here any more, of a chain that is,
  -- was used before.
  chain_hash bytea not null,
  user_nid integer not null,
  device_id text collate "C" not null,
  created_at bigint not null,
  expires_at bigint,
  -- The token given out for this one. Once that was used, using this one again is theft.
  successor bigint,
  foreign key (user_nid, device_id) references devices on delete cascade
);
create index refresh_tokens_chain on refresh_tokens (chain_hash);
create index refresh_tokens_device on refresh_tokens (user_nid, device_id);

create table access_tokens (
  token_hash bytea primary key,
  user_nid integer not null,
  device_id text collate "C" not null,
  created_at bigint not null,
  expires_at bigint,
  -- The refresh token that was given out with it.
  refresh_token bigint,
  -- Whether a request came with it; the first one ends its predecessors.
  used boolean not null default false,
  foreign key (user_nid, device_id) references devices on delete cascade
);
create index access_tokens_device on access_tokens (user_nid, device_id);

create table registration_tokens (
  token text collate "C" primary key,
  -- Null: any number.
  uses_allowed integer,
  pending integer not null default 0,
  completed integer not null default 0,
  expires_at bigint
);

-- Texts that are worth something once: login tokens, nonces.
create table one_time_tokens (
  kind text not null,
  token_hash bytea not null,
  user_nid integer,
  expires_at bigint not null,
  primary key (kind, token_hash)
);
create index one_time_tokens_expiry on one_time_tokens (expires_at);

-- User-interactive authentication under way. The id a client holds is not stored, only its hash; what was asked is bound
-- by a MAC whose key is that id, so nothing here tells anything about passwords in a body.
create table interactive_sessions (
  session_hash bytea primary key,
  request_mac bytea not null,
  created_at bigint not null,
  completed text[] not null default '{}',
  -- The registration token that is held for this session.
  registration_token text
);
create index interactive_sessions_created on interactive_sessions (created_at);
