-- Which threads users follow, and which they no longer do (MSC4306): a row stays when a subscription ends, so that devices
-- hear of it and no older event subscribes the user anew.
create table thread_subscriptions (
  user_nid integer not null,
  room integer not null,
  -- The event at the root of the thread.
  event_nid bigint not null,
  subscribed boolean not null,
  -- Made by a client because of a mention, not asked for by the user.
  automatic boolean not null,
  -- The last change.
  position bigint not null,
  primary key (event_nid, user_nid)
);
create index thread_subscriptions_position on thread_subscriptions (user_nid, position);
create index thread_subscriptions_room on thread_subscriptions (room);
