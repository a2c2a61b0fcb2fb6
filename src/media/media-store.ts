/** Bytes of a blob, the last one included. */
export type ByteRange = { readonly start: number; readonly end: number }

/** Bytes that have arrived whole and are durable, but are not yet to be found. */
export type ReceivedBlob = {
  /** SHA-256. */
  readonly hash: Buffer
  /** Bytes. */
  readonly size: number
  /** Makes them available under their hash, durably. Keeping the same bytes twice stores them once. */
  keep(): Promise<void>
  /** Forgets them. After `keep` this does nothing. */
  discard(): Promise<void>
}

/** Where the contents of media are: large values under their SHA-256. Knows nothing of media, users or servers. */
export interface MediaStore {
  /**
   * Takes in a stream in bounded memory. Nothing stays when it fails.
   *
   * @param source A chunk is read before the next one is asked for, and not afterwards.
   * @throws what the source throws.
   */
  receive(source: AsyncIterable<Uint8Array>): Promise<ReceivedBlob>
  /**
   * @param range All of it unless given.
   * @returns chunks, each of which is overwritten when the next one is asked for.
   * @throws when there is no such blob.
   */
  read(hash: Buffer, range?: ByteRange): Promise<AsyncIterable<Uint8Array>>
  /** Runs with a file that has the content and may only be read. */
  withFile<Result>(hash: Buffer, use: (path: string) => Promise<Result>): Promise<Result>
  /** A blob that is not there is as good as removed. */
  remove(hash: Buffer): Promise<void>
}
