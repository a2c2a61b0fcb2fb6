-- Whether something that was shown of a room before its members were known turned out to be wrong: then everybody is told of the room
-- as of a new one.
alter table partial_rooms add column corrected boolean not null default false;
