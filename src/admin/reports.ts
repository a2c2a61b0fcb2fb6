import { Type } from '@sinclair/typebox'
import type { Context } from '../context.ts'
import { endpoint } from '../http/endpoint.ts'
import { MatrixError } from '../matrix/errors.ts'
import { clientEvent } from '../rooms/client-event.ts'
import {
  listReports,
  type ReportFilter,
  type ReportRow,
  deleteReport as remove,
  reportById,
} from '../storage/admin-reports.ts'
import type { StoredEvent } from '../storage/events.ts'
import { dir, from, limit, nextToken, text } from './schemas.ts'

function parseReportId(text: string): string | undefined {
  return /^\d{1,15}$/.test(text) ? text : undefined
}

const params = { reportId: parseReportId }
const page = { from, limit, dir }

type PageQuery = { from?: number; limit?: number; dir?: 'f' | 'b' }

/** Newest first. */
async function pageOf(ctx: Context, filter: ReportFilter, query: PageQuery) {
  const { from = 0, limit = 100 } = query
  const { reports, total } = await listReports(ctx.database.db, filter, { from, limit, backwards: query.dir !== 'f' })
  return { reports, total, next: nextToken(from, reports.length, total) }
}

async function reportOf(ctx: Context, reportId: string, about: ReportFilter['about']): Promise<ReportRow> {
  const [report] = await ctx.database.read(reportById, [Number(reportId)])
  const isWanted = about === 'events' ? report?.event_nid != null : report?.reported_user != null
  if (!report || !isWanted) throw new MatrixError('M_NOT_FOUND', 'Report not found')
  return report
}

export const listEventReports = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/event_reports',
  auth: 'admin',
  query: Type.Object({
    ...page,
    user_id: Type.Optional(text),
    room_id: Type.Optional(text),
    event_sender_user_id: Type.Optional(text),
  }),
  async handle(ctx, { query }) {
    const filter = {
      about: 'events',
      reporter: query.user_id,
      roomId: query.room_id,
      sender: query.event_sender_user_id,
      reportedUser: undefined,
    } as const
    const { reports, total, next } = await pageOf(ctx, filter, query)
    const events = await ctx.events.byNids(reports.map((report) => report.event_nid!))
    const byNid = new Map(events.map((event) => [event.nid, event]))
    return { event_reports: reports.map((one) => eventReport(one, byNid.get(one.event_nid!))), total, ...next }
  },
})

export const getEventReport = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/event_reports/{reportId}',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    const report = await reportOf(ctx, params.reportId, 'events')
    const [stored] = await ctx.events.byNids([report.event_nid!])
    const shown = stored && clientEvent(stored, { now: ctx.clock.now(), roomId: stored.event.roomId })
    return { ...eventReport(report, stored), event_json: shown ?? null }
  },
})

export const deleteEventReport = endpoint({
  method: 'delete',
  path: '/_synapse/admin/v1/event_reports/{reportId}',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    await reportOf(ctx, params.reportId, 'events')
    await ctx.database.read(remove, [Number(params.reportId)])
    return {}
  },
})

export const listUserReports = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/user_reports',
  auth: 'admin',
  query: Type.Object({ ...page, user_id: Type.Optional(text), target_user_id: Type.Optional(text) }),
  async handle(ctx, { query }) {
    const filter = {
      about: 'users',
      reporter: query.user_id,
      roomId: undefined,
      sender: undefined,
      reportedUser: query.target_user_id,
    } as const
    const { reports, total, next } = await pageOf(ctx, filter, query)
    return { user_reports: reports.map(userReport), total, ...next }
  },
})

export const getUserReport = endpoint({
  method: 'get',
  path: '/_synapse/admin/v1/user_reports/{reportId}',
  auth: 'admin',
  params,
  handle: async (ctx, { params }) => userReport(await reportOf(ctx, params.reportId, 'users')),
})

export const deleteUserReport = endpoint({
  method: 'delete',
  path: '/_synapse/admin/v1/user_reports/{reportId}',
  auth: 'admin',
  params,
  async handle(ctx, { params }) {
    await reportOf(ctx, params.reportId, 'users')
    await ctx.database.read(remove, [Number(params.reportId)])
    return {}
  },
})

function eventReport(report: ReportRow, stored: StoredEvent | undefined) {
  return {
    id: report.report,
    received_ts: report.received_at,
    room_id: report.room_id,
    name: report.name,
    canonical_alias: report.canonical_alias,
    event_id: stored?.event.eventId ?? null,
    sender: report.sender,
    user_id: report.reporter,
    reason: report.reason,
    score: null,
  }
}

function userReport(report: ReportRow) {
  return {
    id: report.report,
    received_ts: report.received_at,
    target_user_id: report.reported_user,
    user_id: report.reporter,
    reason: report.reason,
  }
}
