import { AsyncLocalStorage } from 'node:async_hooks'
import type { Span } from './tracing.ts'

/** What the program is doing something for right now: a request, or several at once. */
export type Course = {
  readonly requestIds: readonly string[]
  /** Undefined where nothing is traced. */
  readonly span: Span | undefined
}

const current = new AsyncLocalStorage<Course>()

/** Undefined where it is for nobody in particular. */
export function currentCourse(): Course | undefined {
  return current.getStore()
}

/** Has everything that is logged and traced in the course of the work belong to it. */
export function inCourse<Result>(course: Course, work: () => Result): Result {
  return current.run(course, work)
}
