-- Words of messages, room names and topics, where the operator has the search on: src/search. Empty otherwise.

create table searchable_events (
  -- What is deleted is not found any more.
  event_nid bigint primary key references events on delete cascade,
  -- storage/searchable-events.ts, searchKeys.
  key smallint not null,
  -- Without case and accents; one more lexeme is "!" and the number of the room, so that the index knows of rooms too.
  words tsvector not null
);
create index searchable_events_words on searchable_events using gin (words);

-- Events below this number are still to be looked at. No row: the search is off.
create table search_progress (
  only_row boolean primary key default true check (only_row),
  below bigint not null
);

-- Whoever takes out what an event says (redactions, purges) need not know that it can be searched.
create function forget_searchable_event() returns trigger language plpgsql as $$
begin
  delete from searchable_events where event_nid = new.event_nid;
  return null;
end
$$;
create trigger forget_searchable_event after update of content on events
  for each row execute function forget_searchable_event();
