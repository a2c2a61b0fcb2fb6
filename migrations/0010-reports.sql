-- What users reported to those who moderate this server: a room, an event in it, or a user.
create table reports (
  report bigint generated always as identity primary key,
  reporter integer not null references users,
  received_at bigint not null,
  room integer references rooms,
  event_nid bigint,
  reported_user integer references users,
  reason text,
  check (num_nonnulls(room, reported_user) = 1)
);
