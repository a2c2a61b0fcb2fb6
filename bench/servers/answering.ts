import type { ChildProcess } from 'node:child_process'

/** Milliseconds that a server may take to start. */
const patience = 60_000

/** Asks until the server answers. */
export async function answering(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + patience
  while (performance.now() < deadline && child.exitCode === null) {
    const answer = await fetch(`${url}/_matrix/client/versions`).catch(() => undefined)
    if (answer?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`${url} does not answer`)
}
