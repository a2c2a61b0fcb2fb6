import { type Db, statement } from './database.ts'

export type JobStatus = 'scheduled' | 'active' | 'complete' | 'failed'

export type JobRow = {
  job_id: string
  kind: string
  /** The room or user it is about. */
  subject: string
  /** JSON text. */
  parameters: string
  requested_by: string
  created_at: number
  status: JobStatus
  /** JSON text: what was done so far. */
  result: string
  error: string | null
  ended_at: number | null
  /** How often it was begun since it last got any further. */
  attempts: number
}

export async function insertJob(
  db: Db,
  job: Pick<JobRow, 'job_id' | 'kind' | 'subject' | 'parameters' | 'requested_by' | 'created_at'>,
): Promise<void> {
  await db.insertInto('admin_jobs').values(job).execute()
}

/** The oldest that has not ended: one that a process left half done comes first. */
export const nextJob = statement<JobRow>(
  'next job',
  'select * from admin_jobs where ended_at is null order by created_at, job_id limit 1',
)

export const jobById = statement<JobRow>('a job', 'select * from admin_jobs where job_id = $1')

export const jobsAbout = statement<JobRow>(
  'jobs about something',
  'select * from admin_jobs where kind = $1 and subject = $2 order by created_at desc limit 100',
)

export const allJobs = statement<JobRow>('jobs', 'select * from admin_jobs order by created_at desc limit $1')

export const saveJob = statement<never>(
  'save a job',
  `update admin_jobs set status = $2, result = $3, error = $4, ended_at = $5,
     attempts = case when result = $3 then attempts else 0 end where job_id = $1`,
)

/** Parameters: the job, whether it is begun, or else was put down in good order. */
export const countAttempt = statement<never>(
  'count an attempt of a job',
  `update admin_jobs set status = 'active', attempts = case when $2::boolean then attempts + 1 else 0 end where job_id = $1`,
)

export const deleteOldJobs = statement<never>('delete old jobs', 'delete from admin_jobs where ended_at < $1')
