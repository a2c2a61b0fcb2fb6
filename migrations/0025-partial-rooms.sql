-- Rooms that were joined without their members: docs/architecture.md, "Joins without members".

create table partial_rooms (
  room integer primary key references rooms,
  -- The event by which we came in.
  join_event text not null,
  -- Who took it in, and the servers that were in the room then.
  told_by text not null,
  servers text[] not null,
  -- The position at which the members were there; null while they are fetched.
  completed_at bigint
);
create index partial_rooms_completed on partial_rooms (completed_at) where completed_at is not null;
create index partial_rooms_open on partial_rooms (room) where completed_at is null;
