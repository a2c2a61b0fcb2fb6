/** The longest that a timer can wait. */
const longest = 2 ** 31 - 1

/** Resolves after some milliseconds, or as soon as `stop` is aborted. Keeps no process from ending. */
export function pause(milliseconds: number, stop: AbortSignal): Promise<void> {
  return createAlarm().rest(milliseconds, stop)
}

/** What a worker waits for between two rounds: a time, or the word that there is something to do. */
export type Alarm = {
  /** Ends the rest. Said during a round, it ends the next one before it begins: nothing is missed. */
  ring(): void
  /** Resolves after some milliseconds, when it is rung, or as soon as `stop` is aborted. Keeps no process from ending. */
  rest(milliseconds: number, stop: AbortSignal): Promise<void>
}

export function createAlarm(): Alarm {
  let rung = false
  let cut: (() => void) | undefined
  return {
    ring() {
      rung = true
      cut?.()
    },
    rest: (milliseconds, stop) =>
      new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer)
          // A worker rests as long as the process lives: its signal must not gather listeners.
          stop.removeEventListener('abort', end)
          cut = undefined
          rung = false
          resolve()
        }
        const timer = setTimeout(end, Math.min(milliseconds, longest))
        timer.unref()
        stop.addEventListener('abort', end)
        cut = end
        if (rung || stop.aborted) end()
      }),
  }
}
