-- Push gateways: who is told, and up to where they have been.

create table pushers (
  pusher bigint generated always as identity primary key,
  user_nid integer not null references users,
  -- The device that set it, with which it goes; null for one set by an application service.
  device_id text collate "C",
  app_id text collate "C" not null,
  pushkey text collate "C" not null,
  kind text not null,
  app_display_name text not null,
  device_display_name text not null,
  profile_tag text,
  lang text not null,
  -- The client's `data` as JSON.
  data text not null,
  enabled boolean not null default true,
  created_at bigint not null,
  -- The last event it was told of, or the position when it was made: nothing up to here is pushed.
  position bigint not null,
  -- The number of unread rooms or messages it was told last.
  badge integer,
  failures integer not null default 0,
  -- Since when pushes fail; while they do, everything after `position` is still to be pushed.
  failing_since bigint,
  retry_at bigint not null default 0,
  unique (user_nid, app_id, pushkey),
  foreign key (user_nid, device_id) references devices on delete cascade
) with (fillfactor = 80);
create index pushers_address on pushers (pushkey, app_id);
create index pushers_device on pushers (user_nid, device_id);
create index pushers_failing on pushers (pusher) where failing_since is not null;

-- Up to where those have come who follow the stream for the whole deployment, one process at a time.
create table stream_followers (
  name text primary key,
  position bigint not null
);
