-- What administrators set for users, rooms and media, and what they have done for them in the background.

alter table accounts
  -- null, "bot" or "support": for lists of users only.
  add column user_type text,
  -- In place of rate_limits.message; 0: no limit at all.
  add column messages_per_second integer,
  add column messages_burst_count integer,
  -- Until then the user may replace their cross-signing keys without proving who they are. Milliseconds.
  add column cross_signing_reset_until bigint;

-- Who a user is at an identity provider.
create table external_ids (
  provider text collate "C" not null,
  external_id text collate "C" not null,
  user_nid integer not null references users,
  primary key (provider, external_id)
);
create index external_ids_user on external_ids (user_nid);

-- Rooms that nobody here may join or be invited to.
create table blocked_rooms (
  room_id text collate "C" primary key,
  blocked_by text not null,
  blocked_at bigint not null
);

alter table media
  -- The administrator who took them out of use.
  add column quarantined_by text,
  -- Never to be taken out of use together with others.
  add column protected boolean not null default false;

-- Work that goes on after its request was answered, whatever becomes of the process.
create table admin_jobs (
  job_id text collate "C" primary key,
  -- src/admin/jobs.ts
  kind text not null,
  -- The room or user it is about.
  subject text collate "C" not null,
  parameters text not null,
  requested_by text not null,
  created_at bigint not null,
  -- scheduled, active, complete or failed.
  status text not null default 'scheduled',
  -- A JSON object: what was done so far.
  result text not null default '{}',
  error text,
  ended_at bigint
);
create index admin_jobs_subject on admin_jobs (subject);
create index admin_jobs_open on admin_jobs (created_at) where ended_at is null;

-- A text in a JSON object; null where PostgreSQL could not hold it.
create function json_text(content text, key text) returns text
  language sql immutable strict parallel safe
  return case when content ~ '\\u(0000|[dD][89abAB])' then null else content::json ->> key end;
