import { statement } from './database.ts'

export type Bind = { readonly medium: string; readonly address: string; readonly id_server: string }

export const insertBind = statement<never>(
  'insert a bind',
  'insert into threepid_binds (user_nid, medium, address, id_server) values ($1, $2, $3, $4) on conflict do nothing',
)

export const deleteBind = statement<never>(
  'delete a bind',
  'delete from threepid_binds where user_nid = $1 and medium = $2 and address = $3 and id_server = $4',
)

export const bindsOf = statement<Bind>(
  'binds of a user',
  'select medium, address, id_server from threepid_binds where user_nid = $1 order by medium, address, id_server',
)
