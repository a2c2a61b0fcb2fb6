-- Mail addresses of users, and the proofs that somebody reads the mail of one.
create table threepids (
  medium text not null,
  -- In lower case, by which it is found.
  address text collate "C" not null,
  user_nid integer not null references users,
  validated_at bigint not null,
  added_at bigint not null,
  primary key (medium, address)
);
create index threepids_user on threepids (user_nid);

create table mail_validations (
  sid text collate "C" primary key,
  -- What it is good for: register, password or add.
  purpose text not null,
  -- SHA-256 of the client's secret.
  secret_hash bytea not null,
  address text collate "C" not null,
  send_attempt integer not null,
  -- SHA-256 of the token that was sent; null when nothing was sent, to hide that the address is or is not known.
  token_hash bytea,
  next_link text,
  created_at bigint not null,
  validated_at bigint,
  -- Taken for its purpose, once.
  used boolean not null default false,
  unique (purpose, secret_hash, address)
);
create index mail_validations_created on mail_validations (created_at);
