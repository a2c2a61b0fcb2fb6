-- Application services: up to where each has been told, and what it is being told.

create table application_services (
  service_id text primary key,
  -- Everything up to here is in a transaction, or of no interest to it.
  position bigint not null,
  -- The id of the last transaction.
  last_transaction bigint not null default 0,
  -- The body of the transaction that is not acknowledged yet: a retry brings exactly the same.
  pending text,
  failures integer not null default 0,
  retry_at bigint not null default 0
);

-- Rooms that application services list in the directories of their networks.
create table network_rooms (
  service_id text not null,
  network_id text not null,
  room integer not null references rooms,
  primary key (service_id, network_id, room)
);
create index network_rooms_room on network_rooms (room);
