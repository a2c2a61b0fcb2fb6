import { Value } from '@sinclair/typebox/value'
import { LRUCache } from 'lru-cache'
import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { JsonObject } from '../matrix/json.ts'
import { MAX_FILTER_BYTES } from '../matrix/limits.ts'
import { parseJson } from '../matrix/strict-json.ts'
import { upTo } from '../storage/caches.ts'
import { statement } from '../storage/database.ts'
import {
  compileEventFilter,
  compileFilter,
  type EventFilter,
  type FilterJson,
  filterSchema,
  type RelationFilterJson,
  type RoomEventFilterJson,
  relationFilterSchema,
  relationTest,
  roomEventFilterSchema,
  type SyncFilter,
} from './filter.ts'

/**
 * Filters of users, stored under a number. One that is equal to an earlier one keeps its number.
 *
 * Spec: Client-Server API, "Filtering".
 */

const selectFilter = statement<{ content: string }>(
  'filter',
  'select content from filters where user_nid = $1 and filter_id = $2',
)

const insertFilter = statement<{ filter_id: number }>(
  'insert filter',
  `with known as (select filter_id from filters where user_nid = $1 and content = $2),
     added as (
       insert into filters (user_nid, filter_id, content)
       select $1, coalesce((select max(filter_id) + 1 from filters where user_nid = $1), 0), $2
       where not exists (select 1 from known) and (select count(*) from filters where user_nid = $1) < $3
       on conflict do nothing returning filter_id)
   select filter_id from known union all select filter_id from added`,
)

/** A client makes a handful; more is a fault. */
const filtersPerUser = 1000

/** @throws MatrixError M_BAD_JSON for a filter that does not say what the specification has it say; M_TOO_LARGE. */
export function checkFilter(filter: unknown): FilterJson {
  const [fault] = Value.Errors(filterSchema, filter)
  if (fault) throw new MatrixError('M_BAD_JSON', `filter${fault.path}: ${fault.message}`)
  return filter as FilterJson
}

/** @returns the filter id. */
export async function storeFilter(
  ctx: Pick<Context, 'database'>,
  userNid: number,
  filter: JsonObject,
): Promise<string> {
  checkFilter(filter)
  const content = JSON.stringify(filter)
  if (content.length > MAX_FILTER_BYTES) throw new MatrixError('M_TOO_LARGE', 'The filter is too large')
  for (let attempt = 0; attempt < 3; attempt++) {
    const [row] = await ctx.database.read(insertFilter, [userNid, content, filtersPerUser])
    if (row) return String(row.filter_id)
  }
  throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'Too many filters')
}

/** @throws MatrixError M_NOT_FOUND */
export async function loadFilter(
  ctx: Pick<Context, 'database'>,
  userNid: number,
  filterId: string,
): Promise<JsonObject> {
  const number = /^\d{1,9}$/.test(filterId) ? Number(filterId) : -1
  const [row] = await ctx.database.read(selectFilter, [userNid, number])
  if (!row) throw new MatrixError('M_NOT_FOUND', 'No such filter')
  return JSON.parse(row.content) as JsonObject
}

const none = compileFilter({})
const compiled = new WeakMap<object, LRUCache<string, SyncFilter>>()

/** The filter of a request: none, JSON, or the id of a stored one. Stored filters never change, so they are remembered. */
export async function filterOf(
  ctx: Pick<Context, 'database'>,
  userNid: number,
  text: string | undefined,
): Promise<SyncFilter> {
  if (text === undefined || text === '') return none
  let cache = compiled.get(ctx.database)
  if (!cache) compiled.set(ctx.database, (cache = new LRUCache(upTo(5000))))
  const key = `${userNid} ${text}`
  const known = cache.get(key)
  if (known) return known
  if (text.length > MAX_FILTER_BYTES) throw new MatrixError('M_TOO_LARGE', 'The filter is too large')
  const json = text.startsWith('{') ? parseJson(text) : await loadFilter(ctx, userNid, text)
  const filter = compileFilter(checkFilter(json))
  if (text.length < 4096) cache.set(key, filter)
  return filter
}

/**
 * The filter of a request that takes it as JSON only.
 *
 * @param options.relations Whether it may say by what they relate to others which events pass (MSC3874).
 * @throws MatrixError M_BAD_JSON, M_NOT_JSON, M_TOO_LARGE
 */
export function roomEventFilterOf(text: string | undefined, options: { relations?: boolean } = {}): EventFilter {
  if (text === undefined || text === '') return none.timeline
  if (text.length > MAX_FILTER_BYTES) throw new MatrixError('M_TOO_LARGE', 'The filter is too large')
  const json = parseJson(text)
  const [fault] = Value.Errors(roomEventFilterSchema, json)
  if (fault) throw new MatrixError('M_BAD_JSON', `filter${fault.path}: ${fault.message}`)
  const filter = compileEventFilter(json as unknown as RoomEventFilterJson)
  const relates = options.relations ? relationTest(checkedRelationFilter(json)) : undefined
  if (!relates) return filter
  return { ...filter, allows: (event) => relates(event) && (filter.allows?.(event) ?? true) }
}

function checkedRelationFilter(json: unknown): RelationFilterJson {
  const [fault] = Value.Errors(relationFilterSchema, json)
  if (fault) throw new MatrixError('M_BAD_JSON', `filter${fault.path}: ${fault.message}`)
  return json as RelationFilterJson
}
