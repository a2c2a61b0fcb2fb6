import { domainToASCII } from 'node:url'
import type { Config } from '../config.ts'
import { MatrixError } from '../matrix/errors.ts'
import { MAX_URL_LENGTH } from './limits.ts'

type Rules = Pick<Config, 'url_previews'>

/**
 * A URL that may be asked for a preview, as far as its text tells: whom its host's name means is looked at when it is
 * connected to. Hosts are compared as they are written in a URL that has been parsed, so `127.1` is `127.0.0.1`.
 *
 * @throws MatrixError M_INVALID_PARAM for what is no URL; M_FORBIDDEN for one that is not to be asked.
 */
export function parseTarget(config: Rules, text: string, base?: URL): URL {
  const url = text.length <= MAX_URL_LENGTH ? URL.parse(text, base) : null
  if (url === null || url.hostname === '')
    throw new MatrixError('M_INVALID_PARAM', 'url: expected the address of a page')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw refused()
  if (url.username !== '' || url.password !== '') throw refused()
  const { ports, allow_hosts: allowed, deny_hosts: denied } = config.url_previews
  const port = Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port)
  if (ports.length > 0 && !ports.includes(port)) throw refused()
  const host = normalHost(url.hostname)
  if (!allowed.some((entry) => isWithin(host, entry)) || denied.some((entry) => isWithin(host, entry))) throw refused()
  url.hash = ''
  return url
}

/** Whether a host is a domain or below it; "*" is everything. */
function isWithin(host: string, entry: string): boolean {
  const domain = normalHost(entry)
  return entry === '*' || host === domain || host.endsWith(`.${domain}`)
}

/** As in a URL that has been parsed, without the dot of the root that may be at its end. */
function normalHost(host: string): string {
  const bare = host.replace(/^\[|\]$|\.$/g, '')
  return domainToASCII(bare) || bare.toLowerCase()
}

function refused(): MatrixError {
  return new MatrixError('M_FORBIDDEN', 'There are no previews of this address')
}
