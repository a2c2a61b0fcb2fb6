-- Events that are sticky (MSC4354), as long as they are: they are told to every client in the room.
create table sticky_events (
  event_nid bigint primary key,
  room integer not null,
  expires_at bigint not null
);
create index sticky_events_expiry on sticky_events (expires_at);
create index sticky_events_room on sticky_events (room);

-- Of a delayed event: for how long it is sticky once it is sent, in milliseconds.
alter table delayed_events add column sticky_ms bigint;
