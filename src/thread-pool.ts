import { availableParallelism } from 'node:os'
import { type Transferable, Worker } from 'node:worker_threads'

/**
 * Threads for work that takes the processor for longer than others can wait. They are started when there is something to do, and
 * end when there was nothing for a while.
 *
 * The script answers each message with one that names the same `task`.
 */
export type ThreadPool<Message extends Task, Answer extends Task> = {
  /** A thread for messages that belong together. */
  pick(): Thread<Message, Answer>
  close(): Promise<void>
}

export type Task = { readonly task: number }

export type Thread<Message extends Task, Answer extends Task> = {
  /** Of no other work. */
  newTask(): number
  /** @param moved What is given away to the thread. @throws when the thread ends. */
  ask(message: Message, moved?: readonly Transferable[]): Promise<Answer>
}

/** Memory is of more use than a fifth thread. */
const mostThreads = 4
/** Milliseconds. */
const patience = 30_000

export function createThreadPool<Message extends Task, Answer extends Task>(script: URL): ThreadPool<Message, Answer> {
  const most = Math.min(mostThreads, Math.max(1, availableParallelism() - 1))
  const threads = new Set<RunningThread<Message, Answer>>()
  let lastTask = 0
  return {
    pick() {
      // One that has nothing to do; else a new one, as long as there may be more; else the one with the least to do.
      const [least] = [...threads].sort((one, other) => one.waiting - other.waiting)
      if (least && (least.waiting === 0 || threads.size >= most)) return least
      const thread = new RunningThread<Message, Answer>(
        script,
        () => ++lastTask,
        () => threads.delete(thread),
      )
      threads.add(thread)
      return thread
    },
    async close() {
      await Promise.all([...threads].map((thread) => thread.end()))
    },
  }
}

class RunningThread<Message extends Task, Answer extends Task> implements Thread<Message, Answer> {
  readonly newTask: () => number
  readonly #worker: Worker
  readonly #open = new Map<number, { resolve(answer: Answer): void; reject(error: unknown): void }>()
  #idle: NodeJS.Timeout | undefined

  constructor(script: URL, newTask: () => number, ended: () => void) {
    this.newTask = newTask
    this.#worker = new Worker(script)
    // It keeps no process from ending.
    this.#worker.unref()
    const fail = (error: unknown): void => {
      ended()
      clearTimeout(this.#idle)
      for (const { reject } of this.#open.values()) reject(error)
      this.#open.clear()
    }
    this.#worker.on('message', (answer: Answer) => {
      this.#open.get(answer.task)?.resolve(answer)
      this.#open.delete(answer.task)
      if (this.#open.size === 0) this.#idle = setTimeout(() => void this.end(), patience).unref()
    })
    this.#worker.on('error', fail)
    this.#worker.on('exit', () => fail(new Error('The thread has ended')))
  }

  get waiting(): number {
    return this.#open.size
  }

  ask(message: Message, moved: readonly Transferable[] = []): Promise<Answer> {
    clearTimeout(this.#idle)
    return new Promise((resolve, reject) => {
      this.#open.set(message.task, { resolve, reject })
      this.#worker.postMessage(message, moved)
    })
  }

  end(): Promise<number> {
    return this.#worker.terminate()
  }
}
