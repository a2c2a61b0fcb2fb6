const maxLength = 4096

/**
 * The file name that a Content-Disposition header gives, RFC 6266 and RFC 8187: the encoded one where there are two.
 *
 * @returns undefined when there is none, or none that can be read.
 */
export function filenameOf(header: string | undefined): string | undefined {
  if (header === undefined || header.length > maxLength) return undefined
  const encoded = /;\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^\s;]+)/i.exec(header)
  if (encoded) {
    const decoded = decode(encoded[2]!, encoded[1]!.toLowerCase() === 'utf-8')
    if (decoded !== undefined) return nonEmpty(decoded)
  }
  const quoted = /;\s*filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(header)
  if (quoted) return nonEmpty(quoted[1]!.replaceAll(/\\(.)/g, '$1'))
  return nonEmpty(/;\s*filename\s*=\s*([^\s;"]+)/i.exec(header)?.[1] ?? '')
}

function decode(text: string, isUtf8: boolean): string | undefined {
  if (!isUtf8) return text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function nonEmpty(text: string): string | undefined {
  return text === '' || text.includes('\0') ? undefined : text
}
