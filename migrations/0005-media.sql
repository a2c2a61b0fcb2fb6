-- The media repository. Contents are stored outside the database under their hash, equal ones once.

create table blobs (
  sha256 bytea primary key,
  size bigint not null,
  created_at bigint not null
);

create table media (
  -- The domain of whoever uploaded it, or the server it was fetched from.
  server_name text collate "C" not null,
  media_id text collate "C" not null,
  -- Null: of another server.
  uploader integer references users,
  created_at bigint not null,
  -- Null: the id was made, and its content is awaited until expires_at.
  sha256 bytea references blobs,
  expires_at bigint,
  content_type text,
  filename text,
  primary key (server_name, media_id)
);
create index media_blob on media (sha256);
create index media_awaited on media (uploader, expires_at) where sha256 is null;

-- What became of an image in one of the sizes that are served.
create table thumbnails (
  source bytea not null references blobs on delete cascade,
  -- Method, size and whether it may move: media/thumbnail-sizes.ts.
  variant text collate "C" not null,
  -- Null: the image itself serves, when there is no problem.
  sha256 bytea references blobs,
  content_type text,
  -- Why there is none and never will be.
  problem text,
  primary key (source, variant)
);
create index thumbnails_blob on thumbnails (sha256);
