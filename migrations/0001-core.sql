-- The stream, the dictionaries and the rooms: docs/architecture.md, "How things are stored".

-- The position of the last committed thing in the deployment. The writer holds the row until it commits, so positions
-- are gapless and in commit order.
create table stream (
  only_row boolean primary key default true check (only_row),
  position bigint not null
);
insert into stream (position) values (0);

-- Dictionaries: a text id appears once, and everything else names it by its number ("nid").
create table users (
  user_nid integer generated always as identity primary key,
  user_id text collate "C" not null unique
);

-- What an event is: its type and, for state, its state key.
create table event_kinds (
  kind integer generated always as identity primary key,
  type text collate "C" not null,
  state_key text collate "C",
  unique nulls not distinct (type, state_key)
);

create table rooms (
  room integer generated always as identity primary key,
  room_id text collate "C" not null unique,
  room_version text not null,
  -- Rises with every batch that writes to the room; a writer that saw an older one lost the race and starts again.
  version bigint not null default 0,
  -- The forward extremities.
  extremities bigint[] not null default '{}',
  -- Events that count as unread for a member whose push rules are the default ones, since the room began.
  notify_count integer not null default 0,
  -- Of those, the ones that highlight for everybody (@room).
  highlight_count integer not null default 0,
  joined_members integer not null default 0,
  invited_members integer not null default 0,
  -- The largest depth of the extremities.
  depth bigint not null default 0,
  -- The members are not all known yet (joined over federation with partial state).
  partial_state boolean not null default false
) with (fillfactor = 70);

create table events (
  event_nid bigint primary key,
  room integer not null references rooms,
  -- The position in the room's timeline: the stream position for what arrived live, negative for back-filled history,
  -- null for what is known but not shown: outliers, rejected and soft-failed events.
  timeline bigint,
  -- The event id without its sigil: 32 bytes of hash, or from room versions 1 and 2 the text.
  event_id bytea not null unique,
  kind integer not null references event_kinds,
  sender integer not null references users,
  depth bigint not null,
  origin_server_ts bigint not null,
  -- storage/events.ts, EventFlags.
  flags smallint not null,
  -- rooms.notify_count as this event left it.
  notify_index integer not null,
  -- Likewise rooms.highlight_count.
  highlight_index integer not null,
  -- The state before this event when it is not the room's resolved state at the position before it.
  state_delta bigint,
  -- prev_events and auth_events as event_nids, hashes and signatures in binary: storage/event-codec.ts.
  edges bytea,
  proof bytea,
  content text not null,
  -- The remaining keys of the PDU, and those that the binary columns cannot express.
  rest text,
  redacted_by bigint
) with (fillfactor = 100);
create index events_timeline on events (room, timeline) where timeline is not null;
-- Those whose place in the timeline is not their number: outliers shown later, and back-filled history.
create index events_placed_later on events (timeline) where timeline <> event_nid;

-- Predecessors that some event names and nobody has sent us: where back-filling starts.
create table missing_events (
  room integer not null references rooms,
  event_id bytea not null,
  referenced_by bigint not null,
  primary key (room, event_id, referenced_by)
);

-- The resolved state as a history: one row for each change of a key. The state at position p is the rows with
-- from_position ≤ p < to_position; the current state has no to_position.
create table room_state (
  room integer not null references rooms,
  kind integer not null references event_kinds,
  -- Of type m.room.member: a large room has thousands of these and a few others.
  is_member boolean not null,
  from_position bigint not null,
  to_position bigint,
  -- Null: from here on the key is absent (a resolution removed it).
  event_nid bigint,
  primary key (room, kind, from_position)
);
create index room_state_current on room_state (room, kind) include (event_nid) where to_position is null;
create index room_state_settings on room_state (room, from_position) where not is_member;
create index room_state_changes on room_state (room, from_position);

-- The state before an event on a fork: the resolved state at a position, and the keys that differ from it.
create table state_deltas (
  state_delta bigint generated always as identity primary key,
  room integer not null references rooms,
  base_position bigint not null,
  kinds integer[] not null,
  -- Parallel to kinds; 0: the key is absent.
  event_nids bigint[] not null,
  digest bytea not null,
  unique (room, digest)
);

-- Who is in which room, by the resolved state, and what each local user has read there.
create table room_users (
  user_nid integer not null references users,
  room integer not null references rooms,
  -- storage/room-users.ts, membershipCodes.
  membership smallint not null,
  -- The membership event and the position since when it holds.
  event_nid bigint not null,
  since bigint not null,
  forgotten boolean not null default false,
  -- Unread counts start here: the later of the receipt, the join and the user's own last event.
  read_position bigint not null default 0,
  read_notify_index integer not null default 0,
  read_highlight_index integer not null default 0,
  primary key (user_nid, room)
) with (fillfactor = 80);
create index room_users_members on room_users (room, membership, user_nid);

-- Where an event counts otherwise for a user than for the room: mentions, keywords, changed push rules.
create table push_exceptions (
  user_nid integer not null,
  room integer not null,
  event_nid bigint not null,
  notify smallint not null,
  highlight smallint not null,
  primary key (user_nid, room, event_nid)
);

-- What m.relates_to says, for relations, threads and aggregations.
create table event_relations (
  room integer not null,
  parent bytea not null,
  relation text not null,
  event_nid bigint not null,
  kind integer not null,
  sender integer not null,
  -- The aggregation key of an annotation.
  key text,
  primary key (room, parent, relation, event_nid)
);
create index event_relations_child on event_relations (event_nid);

-- The answer to a repeated request: client-server API, "Transaction identifiers".
create table transactions (
  user_nid integer not null,
  device_id text not null,
  -- What was asked, method and room, so that one id may serve for two endpoints.
  scope text not null,
  txn_id text not null,
  event_nid bigint not null,
  created bigint not null,
  primary key (user_nid, device_id, scope, txn_id)
);
create index transactions_created on transactions using brin (created);

create table receipts (
  room integer not null,
  user_nid integer not null,
  receipt_type text not null,
  -- '' for an unthreaded receipt.
  thread_id text not null,
  event_nid bigint not null,
  ts bigint not null,
  position bigint not null,
  primary key (room, user_nid, receipt_type, thread_id)
) with (fillfactor = 80);
create index receipts_position on receipts (room, position);

create table account_data (
  user_nid integer not null,
  -- 0: global.
  room integer not null,
  type text not null,
  content text not null,
  position bigint not null,
  primary key (user_nid, room, type)
);
create index account_data_position on account_data (user_nid, position);

create table to_device (
  position bigint not null,
  user_nid integer not null,
  device_id text not null,
  content text not null,
  primary key (user_nid, device_id, position)
);
create index to_device_position on to_device (position);

-- Whose device list changed last when: who shared a room with them must fetch it again.
create table device_list_changes (
  position bigint primary key,
  user_nid integer not null,
  -- Where only one user sees the change: somebody whose signature on the keys is new.
  reader_nid integer
);
create index device_list_changes_user on device_list_changes (user_nid, position);

create table room_aliases (
  alias text collate "C" primary key,
  room integer not null references rooms,
  creator integer not null references users,
  created bigint not null
);
create index room_aliases_room on room_aliases (room);

-- Rooms published in the directory of a domain.
create table published_rooms (
  server_name text not null,
  room integer not null references rooms,
  primary key (server_name, room)
);

-- A profile as one JSON object: displayname, avatar_url and whatever else the user put there.
create table profiles (
  user_nid integer primary key references users,
  fields text not null
);

create table filters (
  user_nid integer not null,
  filter_id integer not null,
  content text not null,
  primary key (user_nid, filter_id)
);
