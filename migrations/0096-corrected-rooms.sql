-- Whether something that was shown of a room before its members were known turned out to be wrong: then everybody is told of the room
-- as of a new one.
alter table partial_rooms add column corrected boolean not null default false;
-- Whether the room was known from before: then what is told holds from the join on, and not already before it.
alter table partial_rooms add column returned boolean not null default false;
-- Until when it is not given up, though none of our users is in it: somebody is coming back. In milliseconds.
alter table partial_rooms add column kept_until bigint not null default 0;
