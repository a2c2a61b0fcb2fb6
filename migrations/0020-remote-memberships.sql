-- Federation: memberships without the room, one queue for each pair of domains, messages to devices elsewhere.

-- What our users are in rooms that this deployment is not in: invited, knocking, or no longer so. The room's own state, when
-- there is any, is older.
create table remote_memberships (
  user_nid integer not null references users,
  room integer not null references rooms,
  -- storage/room-users.ts, membershipCodes.
  membership smallint not null,
  position bigint not null,
  -- The membership event, as it was signed.
  pdu text not null,
  -- What the user is shown of the room: a JSON array of stripped events.
  stripped text not null,
  -- Servers that know the room: a JSON array.
  servers text not null,
  primary key (user_nid, room)
);
create index remote_memberships_position on remote_memberships (position);

-- Servers never hear of two domains of ours in one transaction, so each pair has its own progress.
alter table destinations add column origin text collate "C" not null default '';
alter table destinations drop constraint destinations_pkey;
alter table destinations add primary key (origin, server_name);
-- Which process sends, and until when it may rely on that. Milliseconds.
alter table destinations add column owner text;
alter table destinations add column owned_until bigint not null default 0;

-- The domain of ours that took the event in.
alter table relayed_events add column origin text collate "C" not null default '';

-- Messages to devices of other servers' users, until those have them.
create table outgoing_to_device (
  position bigint primary key,
  origin text collate "C" not null,
  server_name text collate "C" not null,
  -- The EDU's content.
  content text not null
);
create index outgoing_to_device_destination on outgoing_to_device (origin, server_name, position);
