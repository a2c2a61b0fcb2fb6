-- When each field of a user's profile was last changed (MSC4429): a position of the stream.
create table profile_changes (
  user_nid integer not null,
  field text collate "C" not null,
  position bigint not null,
  primary key (user_nid, field)
);
create index profile_changes_position on profile_changes (position);
