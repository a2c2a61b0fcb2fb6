-- The room in which the server speaks to a user. One for each.
create table server_notice_rooms (
  user_nid integer primary key references users,
  room integer not null unique references rooms
);
-- Notices that were sent, so that a repeated request sends none.
create table server_notice_transactions (
  requested_by integer not null references users,
  txn_id text collate "C" not null,
  event_id text collate "C" not null,
  created_at bigint not null,
  primary key (requested_by, txn_id)
);
