-- The names that users of other servers have in rooms, for finding them there: what they are called in one room is nothing to who is
-- not in it.

create table remote_names (
  user_nid integer not null references users,
  room integer not null references rooms,
  -- Without case and accents.
  words tsvector not null,
  primary key (user_nid, room)
);
create index remote_names_words on remote_names using gin (words);
create index remote_names_room on remote_names (room);

insert into remote_names (user_nid, room, words)
select m.user_nid, m.room, strip(searchable_name(e.content))
from room_users m join events e using (event_nid)
where m.membership = 1 and searchable_name(e.content) is not null
  and not exists (select from accounts a where a.user_nid = m.user_nid);
