import { type Static, Type } from '@sinclair/typebox'
import { endpoint } from '../../http/endpoint.ts'
import { searchAnswer } from '../../search/search-answer.ts'
import { parseSearchToken } from '../../search/search-token.ts'
import { compileEventFilter, roomEventFilterSchema } from '../../sync/filter.ts'

/** Events before and after each result. */
const maxContext = 20
const defaultContext = 5

const allKeys = ['content.body', 'content.name', 'content.topic'] as const

const criteria = Type.Object({
  search_term: Type.String(),
  keys: Type.Optional(Type.Array(Type.Union(allKeys.map((key) => Type.Literal(key))))),
  filter: Type.Optional(roomEventFilterSchema),
  order_by: Type.Optional(Type.Union([Type.Literal('recent'), Type.Literal('rank')])),
  event_context: Type.Optional(
    Type.Object({
      before_limit: Type.Optional(Type.Integer({ minimum: 0 })),
      after_limit: Type.Optional(Type.Integer({ minimum: 0 })),
      include_profile: Type.Optional(Type.Boolean()),
    }),
  ),
  include_state: Type.Optional(Type.Boolean()),
  groupings: Type.Optional(
    Type.Object({
      group_by: Type.Optional(
        Type.Array(Type.Object({ key: Type.Union([Type.Literal('room_id'), Type.Literal('sender')]) })),
      ),
    }),
  ),
})

/**
 * Without `search.enabled` nothing is found: messages are not indexed then. What is encrypted never is, and clients search in
 * what they can decrypt.
 *
 * Spec: Client-Server API, `POST /_matrix/client/v3/search` (v1.19).
 */
export const search = endpoint({
  method: 'post',
  path: ['/_matrix/client/v3/search', '/_matrix/client/r0/search'],
  auth: 'user',
  whileSuspended: true,
  rateLimit: { kind: 'search', by: 'user' },
  query: Type.Object({ next_batch: Type.Optional(Type.String()) }),
  body: Type.Object({ search_categories: Type.Object({ room_events: Type.Optional(criteria) }) }),
  async handle(ctx, { body, query, requester }) {
    const { room_events: wanted } = body.search_categories
    if (wanted === undefined) return { search_categories: {} }
    const from = query.next_batch === undefined ? undefined : parseSearchToken(query.next_batch)
    if (!ctx.config.search.enabled) {
      return { search_categories: { room_events: { count: 0, highlights: [], results: [] } } }
    }
    const answer = await searchAnswer(
      ctx,
      requester,
      {
        term: wanted.search_term,
        keys: wanted.keys ?? allKeys,
        byRank: wanted.order_by !== 'recent',
        filter: compileEventFilter(wanted.filter),
        from,
      },
      {
        context: contextIn(wanted),
        state: wanted.include_state === true,
        groupBy: [...new Set(wanted.groupings?.group_by?.map(({ key }) => key))],
      },
    )
    return { search_categories: { room_events: answer } }
  },
})

function contextIn({ event_context: context }: Static<typeof criteria>) {
  if (context === undefined) return undefined
  const limit = (asked: number | undefined) => Math.min(asked ?? defaultContext, maxContext)
  return {
    before: limit(context.before_limit),
    after: limit(context.after_limit),
    profiles: context.include_profile === true,
  }
}
