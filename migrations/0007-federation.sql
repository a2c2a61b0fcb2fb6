-- What federation remembers of other servers.

-- Their signing keys, as they published them.
create table server_keys (
  server_name text collate "C" not null,
  key_id text collate "C" not null,
  public_key bytea not null,
  -- Milliseconds until which signatures with it count: for a key that was given up, when that was.
  valid_until bigint not null,
  -- Given up: it vouches for older events and for no request.
  is_old boolean not null,
  fetched_at bigint not null,
  primary key (server_name, key_id)
);

-- How far each server has been told what happened, and when it may be tried again.
create table destinations (
  server_name text collate "C" primary key,
  acked_position bigint not null,
  failures integer not null default 0,
  retry_at bigint not null default 0
);

-- Events of others that came in through us alone, and that we so pass on to the other servers of the room. Noted before
-- they are accepted, so that whoever follows the stream finds them here.
create table relayed_events (
  event_id bytea primary key
);

-- What transactions were answered with, so that a repeated one gets the same.
create table incoming_transactions (
  origin text collate "C" not null,
  txn_id text collate "C" not null,
  answer text not null,
  received_at bigint not null,
  primary key (origin, txn_id)
);
create index incoming_transactions_received on incoming_transactions using brin (received_at);
