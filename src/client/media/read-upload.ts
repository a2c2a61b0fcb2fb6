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

/**
 * Leaves the connection open when the reader stops early: it is to be answered. A chunk is gone when the next one is asked for.
 */
async function* chunksOf(request: Request): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array<ArrayBuffer>>) {
      yield chunk
      free(chunk)
    }
  } catch {
    throw new RequestAborted()
  }
  if (!request.complete) throw new RequestAborted()
}

/** Gives memory back that only this chunk uses. Left to the collector, it makes it look through all of the heap every 32 MB. */
function free({ buffer, byteLength }: Uint8Array<ArrayBuffer>): void {
  if (buffer.byteLength === byteLength) buffer.transfer(0)
}
