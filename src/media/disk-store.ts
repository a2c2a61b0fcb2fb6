import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { MediaStore, ReceivedBlob } from './media-store.ts'

/** An upload of which nothing was heard for this long has no process any more. */
const abandonedAfter = 24 * 60 * 60 * 1000

/**
 * Blobs as files: the hash in hexadecimal, its first two bytes as folders, so that no folder grows large. What is
 * arriving is in `incoming/`. Processes may share the folder.
 */
export function openDiskStore(root: string, ctx: { random: Random; clock: Clock }): MediaStore {
  const incoming = join(root, 'incoming')
  mkdirSync(incoming, { recursive: true, mode: 0o700 })
  void removeAbandoned(incoming, ctx.clock.now() - abandonedAfter).catch(() => {})

  function pathOf(hash: Buffer): string {
    const name = hash.toString('hex')
    return join(root, name.slice(0, 2), name.slice(2, 4), name.slice(4))
  }

  return {
    async receive(source) {
      const path = join(incoming, ctx.random.token(16))
      const file = await open(path, 'wx', 0o600)
      try {
        const { hash, size } = await writeAll(file, source)
        await file.sync()
        await file.close()
        return received(path, hash, size, pathOf(hash))
      } catch (error) {
        await file.close().catch(() => {})
        await rm(path, { force: true })
        throw error
      }
    },
    async read(hash, range) {
      const file = await open(pathOf(hash), 'r')
      return file.createReadStream({ highWaterMark: 128 * 1024, ...range }) as Readable
    },
    withFile: (hash, use) => use(pathOf(hash)),
    remove: (hash) => rm(pathOf(hash), { force: true }),
  }
}

function received(path: string, hash: Buffer, size: number, target: string): ReceivedBlob {
  let kept = false
  return {
    hash,
    size,
    async keep() {
      if (kept) return
      const folder = dirname(target)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await rename(path, target)
      kept = true
      // A new folder must survive as well as the new file in it.
      for (const changed of [folder, dirname(folder), dirname(dirname(folder))]) await syncFolder(changed)
    },
    async discard() {
      if (!kept) await rm(path, { force: true })
    },
  }
}

async function writeAll(file: FileHandle, source: AsyncIterable<Uint8Array>): Promise<{ hash: Buffer; size: number }> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of source) {
    hash.update(chunk)
    size += chunk.length
    let written = 0
    while (written < chunk.length) written += (await file.write(chunk, written)).bytesWritten
  }
  return { hash: hash.digest(), size }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

async function removeAbandoned(folder: string, before: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name)
    if ((await stat(path)).mtimeMs < before) await rm(path, { force: true })
  }
}
