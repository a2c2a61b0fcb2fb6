-- What a sliding sync connection has been told, by position: the answers of one device under one conn_id.
--
-- Unlogged: written with answers of a sync, so it must cost no fsync, and what a crash of PostgreSQL takes away is only
-- that clients are told to begin anew (M_UNKNOWN_POS).
create unlogged table sliding_sync_states (
  state bigint generated always as identity primary key,
  user_nid integer not null,
  device_id text collate "C" not null,
  conn_id text collate "C" not null,
  content text not null,
  foreign key (user_nid, device_id) references devices on delete cascade
);
create index sliding_sync_states_connection on sliding_sync_states (user_nid, device_id, conn_id);
