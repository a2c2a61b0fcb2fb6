-- Unread counts by thread: docs/architecture.md, "Unread counts".

-- Everything up to here is read in every thread: the later of the unthreaded receipt and the join. Receipts for the main
-- timeline and the user's own events move `read_position` alone.
alter table room_users add column threads_read_position bigint not null default 0;
update room_users set threads_read_position = read_position;

-- The messages of a room's threads in their order.
create index event_relations_threads on event_relations (room, event_nid) include (parent, sender)
  where relation = 'm.thread';
