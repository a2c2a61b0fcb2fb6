import { statement } from './database.ts'
import { insertInto } from './operation.ts'

/** Messages to devices of other servers' users, kept until the server has them. */
export type OutgoingToDeviceRow = { position: number; origin: string; server_name: string; content: string }

export const insertOutgoingToDevice = insertInto<OutgoingToDeviceRow>('outgoing_to_device', {
  position: 'int8',
  origin: 'text',
  server_name: 'text',
  content: 'text',
})

/** Parameters: origin, server, up to which position, how many. */
export const outgoingToDeviceFor = statement<{ position: number; content: string }>(
  'outgoing to-device messages',
  `select position, content from outgoing_to_device where origin = $1 and server_name = $2 and position <= $3
   order by position limit $4`,
)

export const deleteOutgoingToDevice = statement<never>(
  'delete outgoing to-device messages',
  'delete from outgoing_to_device where origin = $1 and server_name = $2 and position <= $3',
)
