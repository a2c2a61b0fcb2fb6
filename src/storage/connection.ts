import pg from 'pg'

/** A statement and its parameters. `name` is what it is called where statements are watched. */
export type Grouped = { readonly name: string; readonly text: string; readonly values: readonly Parameter[] }

export type Scalar = number | string | boolean | Buffer | null
/** An array is an array of PostgreSQL too. */
export type Parameter = Scalar | readonly Scalar[]

/** A pipelined connection: what is sent does not wait for the answers of what was sent before. */
export class Connection extends pg.Client {
  /** What PostgreSQL knows the statements of groups by, by their text. */
  readonly #prepared = new Map<string, string>()
  #names = 0

  constructor(url: string) {
    super({ connectionString: url, pipeline: true } as pg.ClientConfig)
  }

  /**
   * Runs statements of which no answer is wanted. They go to the database at once and come back at once, with one answer for
   * all: outside a transaction they are one. After an error nothing of what follows is run.
   *
   * @throws the error of the first that failed.
   */
  group(statements: readonly Grouped[]): Promise<void> {
    const fresh = new Map<string, string>()
    const named = statements.map(({ text, values }) => {
      const parameters = values.map(textOf)
      const known = this.#prepared.get(text) ?? fresh.get(text)
      if (known !== undefined) return { name: known, text: undefined, values: parameters }
      const name = `group ${++this.#names}`
      fresh.set(text, name)
      return { name, text, values: parameters }
    })
    return new Promise((resolve, reject) => {
      const group = new Group(named, (error) => {
        // After an error it is not known which of them came so far that they were prepared: they will be under another name.
        if (error) return reject(error)
        for (const [text, name] of fresh) this.#prepared.set(text, name)
        resolve()
      })
      this.query(group)
    })
  }
}

type Named = { readonly name: string; readonly text: string | undefined; readonly values: readonly (string | null)[] }

/**
 * Several statements with one Sync behind them. PostgreSQL: "Frontend/Backend Protocol", "Extended Query" and "Pipelining".
 * The driver itself puts a Sync behind each, which is an answer, and a waking of this process, for each.
 */
class Group extends pg.Query {
  readonly #statements: readonly Named[]

  constructor(statements: readonly Named[], done: (error: Error | null) => void) {
    super({ text: 'group' }, undefined, done as never)
    this.#statements = statements
  }

  override submit = (connection: pg.Connection): void => {
    const { stream } = connection
    stream.cork()
    try {
      for (const { name, text, values } of this.#statements) {
        if (text !== undefined) connection.parse({ name, text, types: [] }, true)
        connection.bind({ statement: name, values: values as (string | null)[] }, true)
        connection.execute({}, true)
      }
      connection.sync()
    } finally {
      stream.uncork()
    }
  }

  handleRowDescription(): void {}
  handleDataRow(): void {}
  handleCommandComplete(): void {}
}

/** The text form of a parameter. PostgreSQL: "Array Input and Output Syntax", "bytea Hex Format". */
export function textOf(value: Parameter): string | null {
  if (value === null) return null
  if (!Array.isArray(value)) return scalarText(value as Exclude<Scalar, null>)
  let text = '{'
  for (let index = 0; index < value.length; index++) {
    if (index > 0) text += ','
    text += elementText(value[index] as Scalar | undefined)
  }
  return `${text}}`
}

function scalarText(value: Exclude<Scalar, null>): string {
  if (Buffer.isBuffer(value)) return `\\x${value.toString('hex')}`
  return String(value)
}

function elementText(value: Scalar | undefined): string {
  if (value === null || value === undefined) return 'NULL'
  if (typeof value === 'string') return `"${/["\\]/.test(value) ? value.replace(/["\\]/g, '\\$&') : value}"`
  if (Buffer.isBuffer(value)) return `"\\\\x${value.toString('hex')}"`
  return String(value)
}
