import type { ServerName } from '../matrix/ids.ts'

export type RemoteContent = {
  readonly content: AsyncIterable<Uint8Array>
  readonly contentType: string | undefined
  readonly filename: string | undefined
}

/** Media of other servers. Implemented by federation. */
export interface RemoteMedia {
  /**
   * @param options `asker`: the domain of ours whose user wants them; `timeout` in milliseconds, until the answer begins;
   *   `maxBytes`: no more may be read.
   * @returns undefined when the server cannot be reached or knows no such media.
   * @throws MatrixError M_TOO_LARGE (502), also while the content is read.
   */
  fetch(
    server: ServerName,
    mediaId: string,
    options: { readonly asker: ServerName; readonly timeout: number; readonly maxBytes: number },
  ): Promise<RemoteContent | undefined>
}

/** Without federation no other server can be reached. */
export const noRemoteMedia: RemoteMedia = { fetch: async () => undefined }
