import type { Request } from 'express'
import { RequestAborted, refuseForeignTypes } from '../../http/body.ts'
import type { Upload } from '../../media/upload.ts'

/**
 * A request's body as an upload.
 *
 * @throws MatrixError 415 for forms and compressed bodies, which are not what the client wants to store.
 */
export function readUpload(request: Request, filename: string | undefined): Upload {
  refuseForeignTypes(request)
  const length = request.headers['content-length']
  return {
    content: chunksOf(request),
    length: length === undefined ? undefined : Number(length),
    contentType: request.headers['content-type'],
    filename,
  }
}

/** Leaves the connection open when the reader stops early: it is to be answered. */
async function* chunksOf(request: Request): AsyncGenerator<Uint8Array> {
  try {
    yield* request.iterator({ destroyOnReturn: false })
  } catch {
    throw new RequestAborted()
  }
  if (!request.complete) throw new RequestAborted()
}
