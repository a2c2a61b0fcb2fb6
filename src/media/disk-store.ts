import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { ByteRange, MediaStore, ReceivedBlob } from './media-store.ts'
import { createSpareBuffers, type SpareBuffers } from './spare-buffers.ts'

/** An upload of which nothing was heard for this long has no process any more. */
const abandonedAfter = 24 * 60 * 60 * 1000

/**
 * Blobs as files: the hash in hexadecimal, its first two bytes as folders, so that no folder grows large. What is
 * arriving is in `incoming/`. Processes may share the folder.
 */
export function openDiskStore(root: string, ctx: { random: Random; clock: Clock }): MediaStore {
  const incoming = join(root, 'incoming')
  const buffers = createSpareBuffers()
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
        const { hash, size } = await writeAll(file, source, buffers)
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
      return readAll(file, range, buffers)
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

async function writeAll(
  file: FileHandle,
  source: AsyncIterable<Uint8Array>,
  buffers: SpareBuffers,
): Promise<{ hash: Buffer; size: number }> {
  const hash = createHash('sha256')
  const buffer = buffers.take()
  let size = 0
  let filled = 0
  for await (const chunk of source) {
    hash.update(chunk)
    size += chunk.length
    for (let taken = 0; taken < chunk.length; ) {
      const end = Math.min(chunk.length, taken + buffer.length - filled)
      buffer.set(chunk.subarray(taken, end), filled)
      filled += end - taken
      taken = end
      if (filled < buffer.length) continue
      await writeWhole(file, buffer)
      filled = 0
    }
  }
  await writeWhole(file, buffer.subarray(0, filled))
  buffers.giveBack(buffer)
  return { hash: hash.digest(), size }
}

async function writeWhole(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let written = 0; written < bytes.length; ) written += (await file.write(bytes, written)).bytesWritten
}

async function* readAll(
  file: FileHandle,
  range: ByteRange | undefined,
  buffers: SpareBuffers,
): AsyncGenerator<Uint8Array> {
  const buffer = buffers.take()
  try {
    let position = range?.start ?? 0
    const end = range === undefined ? Number.POSITIVE_INFINITY : range.end + 1
    while (position < end) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - position), position)
      if (bytesRead === 0) break
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
  // Whoever stops before the end may still be sending what it got.
  buffers.giveBack(buffer)
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
