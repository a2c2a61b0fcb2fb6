-- What servers publish about their keys, as they signed it: a notary passes it on.
create table server_key_answers (
  server_name text collate "C" primary key,
  answer text not null,
  -- Milliseconds since the epoch, as the server says.
  valid_until bigint not null
);
