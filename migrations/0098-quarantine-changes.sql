-- What was taken out of use and put back, in the order in which that came to be: tools that watch over media follow it.
create table quarantine_changes (
  change bigint generated always as identity primary key,
  server_name text not null,
  media_id text not null,
  quarantined boolean not null
);

create function note_quarantine_change() returns trigger language plpgsql as $$
begin
  -- Numbers in the order of the commits, so that who reads from one of them misses none.
  lock table quarantine_changes in exclusive mode;
  insert into quarantine_changes (server_name, media_id, quarantined)
  values (new.server_name, new.media_id, new.quarantined_by is not null);
  return null;
end $$;
create trigger media_quarantine_noted after update of quarantined_by on media
  for each row when ((old.quarantined_by is null) <> (new.quarantined_by is null)) execute function note_quarantine_change();

insert into quarantine_changes (server_name, media_id, quarantined)
select server_name, media_id, true from media where quarantined_by is not null order by created_at, server_name, media_id;
