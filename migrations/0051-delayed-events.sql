-- Events that are sent when their time has come, unless somebody says otherwise before that.

create table delayed_events (
  delay_id text primary key,
  user_nid integer not null references users,
  device_id text not null,
  -- What the request was, so that a repeated one gets the same answer.
  request text not null,
  room_id text not null,
  type text not null,
  -- Null: no state event.
  state_key text,
  content text not null,
  origin_server_ts bigint,
  -- Milliseconds, and milliseconds since the epoch.
  delay bigint not null,
  running_since bigint not null,
  send_at bigint not null,
  -- Being sent: no longer to be cancelled.
  is_sending boolean not null default false
);
create index delayed_events_time on delayed_events (send_at);
create unique index delayed_events_request on delayed_events (user_nid, device_id, request);
create index delayed_events_state on delayed_events (room_id, type, state_key) where state_key is not null;
