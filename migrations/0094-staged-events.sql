-- Events of other servers that cannot be judged yet, because something that they build on is not here. They are written down before
-- the server that sent them is answered, since nobody sends them again.
create table staged_events (
  -- In the order in which they came.
  position bigint primary key generated always as identity,
  room integer not null references rooms,
  event_id bytea not null,
  origin text not null,
  event text not null,
  staged_at bigint not null,
  -- How often what is missing has been asked for, and when it is asked for again.
  tries integer not null default 0,
  try_at bigint not null,
  unique (room, event_id)
);
create index staged_events_try_at on staged_events (try_at);
