-- What web pages say of themselves, as clients show it beside links: src/previews.

create table url_previews (
  url text collate "C" primary key,
  -- A JSON object as it is answered.
  preview text not null,
  -- Until then it is answered without asking the page again.
  expires_at bigint not null
);
create index url_previews_expiry on url_previews (expires_at);

-- Images of previews, which are media of nobody and go when no preview has had them for a while.
create table url_preview_images (
  server_name text collate "C" not null,
  media_id text collate "C" not null,
  used_at bigint not null,
  primary key (server_name, media_id)
);
create index url_preview_images_use on url_preview_images (used_at);
