import { insertInto } from './operation.ts'

export const insertAliases = insertInto<{ alias: string; room: number; creator: number; created: number }>(
  'room_aliases',
  { alias: 'text', room: 'int4', creator: 'int4', created: 'int8' },
)

export const insertPublishedRooms = insertInto<{ server_name: string; room: number }>(
  'published_rooms',
  { server_name: 'text', room: 'int4' },
  { tail: 'on conflict do nothing' },
)
