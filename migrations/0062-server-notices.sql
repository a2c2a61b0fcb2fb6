-- The room in which the server speaks to a user. One for each.
create table server_notice_rooms (
  user_nid integer primary key references users,
  room integer not null unique references rooms
);
