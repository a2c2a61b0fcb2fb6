import type { Config } from '../config.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { Outgoing, OutgoingStream } from '../net/outgoing.ts'
import { MAX_REDIRECTS } from './limits.ts'
import { parseTarget } from './preview-target.ts'

export type Fetched = {
  /** Where it was found in the end. */
  readonly url: URL
  readonly contentType: string
  readonly body: OutgoingStream['body']
}

type Engine = { readonly config: Pick<Config, 'url_previews'>; readonly outgoing: Outgoing }

/**
 * Gets what is at an address, wherever redirects lead, each of which is checked like the first address. Whoever gets the body
 * reads it to the end or destroys it.
 *
 * @throws MatrixError M_FORBIDDEN for an address that is not to be asked; M_CONNECTION_FAILED for everything else, so that
 *   nobody learns what there is inside a network.
 */
export async function fetchTarget(ctx: Engine, target: URL, accept: string, signal: AbortSignal): Promise<Fetched> {
  let url = target
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const { status, headers, body } = await open(ctx, url, accept, signal)
    const location = headers.location
    if (status >= 300 && status < 400 && typeof location === 'string') {
      body.destroy()
      url = redirected(ctx, location, url)
      continue
    }
    const isPlain = headers['content-encoding'] === undefined || headers['content-encoding'] === 'identity'
    if (status === 200 && isPlain) return { url, contentType: String(headers['content-type'] ?? ''), body }
    body.destroy()
    break
  }
  throw unreachable()
}

async function open(ctx: Engine, url: URL, accept: string, signal: AbortSignal): Promise<OutgoingStream> {
  const headers = {
    accept,
    'accept-encoding': 'identity',
    'accept-language': ctx.config.url_previews.accept_language,
    'user-agent': 'Chappe (preview of a link in a Matrix message; bot)',
  }
  try {
    return await ctx.outgoing.open({ url, headers, signal })
  } catch {
    throw unreachable()
  }
}

/** What is no address is the page's fault, not that of who asks. */
function redirected({ config }: Engine, location: string, from: URL): URL {
  try {
    return parseTarget(config, location, from)
  } catch (error) {
    throw error instanceof MatrixError && error.errcode === 'M_FORBIDDEN' ? error : unreachable()
  }
}

export function unreachable(): MatrixError {
  return new MatrixError('M_CONNECTION_FAILED', 'The page cannot be had')
}
