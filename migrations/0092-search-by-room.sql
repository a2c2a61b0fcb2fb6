-- What a search compares stands beside the words, so that it reads nothing else. The index is made anew.

truncate searchable_events;
delete from search_progress;
alter table searchable_events
  add column room integer not null references rooms,
  add column sender integer not null,
  -- As in events: where it changes the content does too, and what is here is forgotten.
  add column timeline bigint not null,
  add column origin_server_ts bigint not null;
