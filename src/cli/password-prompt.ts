import { createInterface } from 'node:readline'
import { CommandError } from './arguments.ts'

/** The password: as given, else typed at the terminal without showing it, else the first line of standard input. */
export async function askPassword(given: string | undefined): Promise<string> {
  if (given !== undefined) return given
  if (!process.stdin.isTTY) return firstLine()
  const first = await hidden('Password: ')
  if ((await hidden('Again: ')) !== first) throw new CommandError('the two passwords differ')
  return first
}

async function firstLine(): Promise<string> {
  for await (const line of createInterface({ input: process.stdin })) return line
  throw new CommandError('there is no password on standard input')
}

function hidden(prompt: string): Promise<string> {
  process.stderr.write(prompt)
  const { stdin } = process
  stdin.setRawMode(true)
  stdin.setEncoding('utf8')
  stdin.resume()
  return new Promise((resolve, reject) => {
    let text = ''
    const end = (): void => {
      stdin.off('data', onData)
      stdin.setRawMode(false)
      stdin.pause()
      process.stderr.write('\n')
    }
    const onData = (chunk: string): void => {
      for (const key of chunk) {
        if (key === '\r' || key === '\n') {
          end()
          resolve(text)
          return
        }
        if (key === '\u0003' || key === '\u0004') {
          end()
          reject(new CommandError('no password was given'))
          return
        }
        text = key === '\u007f' || key === '\b' ? text.slice(0, -1) : text + key
      }
    }
    stdin.on('data', onData)
  })
}
