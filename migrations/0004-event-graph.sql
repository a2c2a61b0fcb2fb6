-- What accepting events of other servers needs: docs/architecture.md, "State is a history".

-- The state events of a room in the order in which they became known, for the graph of their auth_events.
create index events_state on events (room, event_nid) where flags & 1 = 1;

-- Redactions of events that nobody has sent us yet.
create table pending_redactions (
  room integer not null references rooms,
  -- The event to be redacted.
  event_id bytea not null,
  redaction bigint not null,
  primary key (room, event_id, redaction)
);
