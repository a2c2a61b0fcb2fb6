-- Where two devices meet for some minutes (MSC4108, MSC4388): a place that both read and write. Unlogged: what a crash takes
-- away is begun anew by the user.
create unlogged table rendezvous_sessions (
  id text collate "C" primary key,
  data bytea not null,
  -- Changes with each write.
  sequence_token text not null,
  modified_at bigint not null,
  expires_at bigint not null
);
create index rendezvous_sessions_expiry on rendezvous_sessions (expires_at);
