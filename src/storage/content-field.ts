/**
 * SQL for a field of an event's content, which is a column of JSON text. PostgreSQL refuses to look into JSON that has `\u0000`
 * anywhere, and what is in an event is up to whoever writes it: escapes are taken out before, since no value that is asked for
 * here has any. (The function `json_text` of the database gives null instead, for texts that are only shown.)
 */
export function contentField(column: string, key: 'membership' | 'history_visibility'): string {
  const plain = String.raw`regexp_replace(${column}, '\\(u[0-9a-fA-F]{4}|.)', '_', 'g')`
  return `(case when position(chr(92) in ${column}) = 0 then ${column} else ${plain} end::json ->> '${key}')`
}
