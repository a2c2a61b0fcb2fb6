-- End-to-end encryption: what devices and users publish for others to encrypt to them with, and key backups.

-- The identity keys of a device, as canonical JSON without `signatures` and `unsigned`.
create table device_keys (
  user_nid integer not null,
  device_id text collate "C" not null,
  content text not null,
  primary key (user_nid, device_id),
  foreign key (user_nid, device_id) references devices on delete cascade
);

-- Keys that nobody has claimed yet.
create table one_time_keys (
  user_nid integer not null,
  device_id text collate "C" not null,
  algorithm text collate "C" not null,
  key_id text collate "C" not null,
  -- They are given out in the order in which they came.
  uploaded bigint generated always as identity,
  -- The key as JSON, and a hash of it without its signatures.
  content text not null,
  digest bytea not null,
  primary key (user_nid, device_id, algorithm, key_id),
  foreign key (user_nid, device_id) references devices on delete cascade
);
create index one_time_keys_order on one_time_keys (user_nid, device_id, algorithm, uploaded);

-- Keys that were given out. A device whose upload was not answered uploads them again, and they must not be given out
-- again. No foreign key: a claim would wait for a device that is being removed, which waits for the keys of the claim.
create table claimed_keys (
  user_nid integer not null,
  device_id text collate "C" not null,
  digest bytea not null,
  claimed_at bigint not null,
  primary key (user_nid, device_id, digest)
);

create table fallback_keys (
  user_nid integer not null,
  device_id text collate "C" not null,
  algorithm text collate "C" not null,
  key_id text collate "C" not null,
  content text not null,
  digest bytea not null,
  used boolean not null default false,
  primary key (user_nid, device_id, algorithm),
  foreign key (user_nid, device_id) references devices on delete cascade
);

-- The cross-signing keys of a user, as canonical JSON without `signatures` and `unsigned`.
create table cross_signing_keys (
  user_nid integer not null references users,
  -- master, self_signing or user_signing.
  usage text not null,
  -- Unpadded base64, and the name of the key where it is signed.
  public_key text collate "C" not null,
  content text not null,
  primary key (user_nid, usage)
);

-- Signatures on device keys and cross-signing keys, those they were uploaded with included.
create table key_signatures (
  target_nid integer not null references users,
  -- A device id or a public key: the two never coincide for one user.
  target_key text collate "C" not null,
  signer_nid integer not null references users,
  -- Algorithm and name of the key, `ed25519:…`.
  signer_key text collate "C" not null,
  signature text not null,
  primary key (target_nid, target_key, signer_nid, signer_key)
);
create index key_signatures_signer on key_signatures (signer_nid, signer_key);

-- Changes of device lists that are committed but not on the stream yet. What a process that died leaves here is announced
-- by the next one.
create table unannounced_device_lists (
  change bigint generated always as identity primary key,
  user_nid integer not null
);
create index unannounced_device_lists_user on unannounced_device_lists (user_nid);

create table key_backups (
  user_nid integer not null references users,
  -- 1, 2, … for each user; a deleted backup keeps its number.
  version integer not null,
  algorithm text not null,
  auth_data text not null,
  -- Rises with every change of the keys.
  etag bigint not null default 0,
  key_count integer not null default 0,
  deleted boolean not null default false,
  primary key (user_nid, version)
);

create table backed_up_keys (
  user_nid integer not null,
  version integer not null,
  room_id text collate "C" not null,
  session_id text collate "C" not null,
  first_message_index bigint not null,
  forwarded_count bigint not null,
  is_verified boolean not null,
  session_data text not null,
  primary key (user_nid, version, room_id, session_id),
  foreign key (user_nid, version) references key_backups on delete cascade
);
