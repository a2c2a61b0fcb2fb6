-- At which identity servers users have made their addresses known through us, so that they can be unbound.
create table threepid_binds (
  user_nid integer not null references users,
  medium text not null,
  address text collate "C" not null,
  id_server text not null,
  primary key (user_nid, medium, address, id_server)
);
