/** A statement that takes any number of rows as arrays, one for each column. */
export type Operation<Row> = {
  readonly name: string
  readonly text: string
  readonly columns: readonly (keyof Row & string)[]
  /** Where set, a later row of a batch replaces an earlier one with the same key. */
  readonly key: ((row: Row) => string) | undefined
}

/**
 * Declares an operation. `columns` gives the PostgreSQL type of each; `text` has `$rows` where the rows stand as a
 * relation named r.
 */
export function operation<Row>(
  name: string,
  columns: { readonly [Column in keyof Row & string]: string },
  text: string,
  key?: (row: Row) => string,
): Operation<Row> {
  const names = Object.keys(columns) as (keyof Row & string)[]
  const parameters = names.map((column, index) => {
    const type = columns[column]
    // unnest would flatten arrays of arrays, so they travel as text.
    return `$${index + 1}::${type.endsWith('[]') ? 'text' : type}[]`
  })
  const selected = names.map((column) => (columns[column].endsWith('[]') ? `${column}::${columns[column]}` : column))
  const rows = `(select ${selected.join(', ')} from unnest(${parameters.join(', ')}) as u(${names.join(', ')})) as r`
  return { name, text: text.replace('$rows', () => rows), columns: names, key }
}

/** Declares a plain insert of rows. `tail` is what follows, such as an `on conflict` clause. */
export function insertInto<Row>(
  table: string,
  columns: { readonly [Column in keyof Row & string]: string },
  options: { tail?: string; key?: (row: Row) => string } = {},
): Operation<Row> {
  const names = Object.keys(columns).join(', ')
  const text = `insert into ${table} (${names}) select ${names} from $rows ${options.tail ?? ''}`
  return operation(`insert ${table}`, columns, text, options.key)
}

/** Writing arrays of bigint[]: the text form of a PostgreSQL array. */
export function arrayText(numbers: readonly number[]): string {
  return `{${numbers.join(',')}}`
}
