-- The names that users of other servers have in rooms stand beside their memberships: as a table of its own, with a key and an index by
-- room, each took more than the membership. The columns of fixed length are in an order that leaves no room between them.

alter table room_users rename to earlier_room_users;

create table room_users (
  user_nid integer not null,
  room integer not null,
  -- storage/room-users.ts, membershipCodes.
  membership smallint not null,
  forgotten boolean not null default false,
  -- Unread counts start here: the later of the receipt, the join and the user's own last event.
  read_notify_index integer not null default 0,
  read_highlight_index integer not null default 0,
  read_position bigint not null default 0,
  -- Likewise for threads.
  threads_read_position bigint not null default 0,
  -- The membership event and the position since when it holds.
  event_nid bigint not null,
  since bigint not null,
  -- What a member from another server is found by, without case and accents: what they are called in one room is nothing to who is not
  -- in it.
  name_words tsvector
) with (fillfactor = 90);

insert into room_users (user_nid, room, membership, forgotten, read_notify_index, read_highlight_index, read_position,
  threads_read_position, event_nid, since, name_words)
select m.user_nid, m.room, membership, forgotten, read_notify_index, read_highlight_index, read_position,
  threads_read_position, event_nid, since, words
from earlier_room_users m left join remote_names n on n.user_nid = m.user_nid and n.room = m.room;

drop table earlier_room_users;
drop table remote_names;

alter table room_users add primary key (user_nid, room), add foreign key (user_nid) references users,
  add foreign key (room) references rooms;
create index room_users_members on room_users (room, membership, user_nid);
create index room_users_names on room_users using gin (name_words) where name_words is not null;
