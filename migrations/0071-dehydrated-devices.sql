-- The device of a user that sleeps here until another one of theirs wakes it (MSC3814): a row among the devices, and this.
create table dehydrated_devices (
  user_nid integer primary key,
  device_id text collate "C" not null,
  -- JSON that only its owner can read.
  device_data text not null,
  foreign key (user_nid, device_id) references devices on delete cascade
);
