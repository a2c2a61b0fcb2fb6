/** A statement that was run. */
export type ObservedStatement = {
  /** Of a prepared one its name; of others the verb and the first table. */
  readonly name: string
  /** By `performance.now()`. */
  readonly started: number
  /** How many it returned; undefined where that is not known. */
  readonly rows: number | undefined
  readonly hasFailed: boolean
}

/** Told of each statement when it has ended, in the course of whatever asked for it. */
export type ObserveStatement = (statement: ObservedStatement) => void

/** Told of each batch of the writer. */
export type ObserveBatch<Origin> = {
  /** What a unit is handed in for. */
  origin(): Origin | undefined
  /** Surrounds the writing of a batch. */
  during(origins: readonly Origin[], units: number, work: () => Promise<void>): Promise<void>
}

/** What a statement without a name is called: values are never part of its text. */
export function nameOfText(text: string): string {
  const [, verb] = /^\s*(\w+)/.exec(text) ?? []
  const [, table] = /\b(?:from|into|update|join)\s+"?([a-z_]+)"?/i.exec(text) ?? []
  return [verb?.toLowerCase() ?? 'statement', ...(table === undefined ? [] : [table])].join(' ')
}
