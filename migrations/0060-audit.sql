-- What administrators did, and who tried to without being one: docs/architecture.md, "Administration". Rows are added and
-- never changed, by nobody.

create table audit_log (
  entry bigint generated always as identity primary key,
  at bigint not null,
  -- Null: nobody that is known here.
  actor text collate "C",
  address text not null,
  -- Method and path of the operation, its parameters as {names}.
  operation text not null,
  -- The user, room, event, media, … that it was about.
  target text collate "C",
  -- A JSON object of what was asked; of texts only that they were there, since they may be secrets.
  details text
);
create index audit_log_actor on audit_log (actor, entry);
create index audit_log_target on audit_log (target, entry);

-- What came of it. A call without an outcome was under way when its process ended.
create table audit_outcomes (
  entry bigint primary key references audit_log,
  at bigint not null,
  status smallint not null,
  errcode text
);

create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit trail is never changed';
end $$;

create trigger audit_log_is_final before update or delete or truncate on audit_log
  for each statement execute function refuse_audit_change();
create trigger audit_outcomes_are_final before update or delete or truncate on audit_outcomes
  for each statement execute function refuse_audit_change();
