-- Devices and keys of users of other servers, as those told them, until they say that something changed.
create table remote_device_lists (
  user_nid integer primary key references users,
  -- A JSON object: devices by id, master, self_signing.
  content text not null,
  -- The position of the stream when they were asked for.
  position bigint not null
);
