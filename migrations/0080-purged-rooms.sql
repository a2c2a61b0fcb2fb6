-- A room that is being purged is closed to everybody until nothing of it is left.
alter table blocked_rooms add column until_purged boolean not null default false;
