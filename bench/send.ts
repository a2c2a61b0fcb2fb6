import { parseArgs } from 'node:util'
import { type BenchClient, connect } from './client.ts'
import { cpuSeconds, latenciesOf, residentMiB } from './measure.ts'

/**
 * Sends messages in a closed loop: each sender sends its next message when the last one was acknowledged.
 *
 *   node bench/send.ts --url http://127.0.0.1:8008 --secret SECRET --senders 32 --rooms 32 --seconds 10 --pid PID
 */
const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8008' },
    secret: { type: 'string', default: 'complement' },
    senders: { type: 'string', default: '32' },
    rooms: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '10' },
    /** Processes whose CPU is counted, with their children. */
    pid: { type: 'string', multiple: true, default: [] },
  },
})

const senders = Number(values.senders)
const rooms = Number(values.rooms)
const pids = values.pid.map(Number)
const connection = connect({ url: values.url, sharedSecret: values.secret }, { connections: senders })
const run = Date.now().toString(36)

const users: BenchClient[] = []
for (let index = 0; index < senders; index++) users.push(await connection.register(`b${run}-${index}`))
const roomIds: string[] = []
for (let index = 0; index < rooms; index++) {
  const { room_id: roomId } = await users[index % senders]!.post('/_matrix/client/v3/createRoom', {
    preset: 'public_chat',
  })
  roomIds.push(roomId)
}
for (const [index, user] of users.entries()) {
  await user.post(`/_matrix/client/v3/join/${encodeURIComponent(roomIds[index % rooms]!)}`)
}

async function sendUntil(user: BenchClient, roomId: string, end: number, samples: number[]): Promise<void> {
  const path = `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/send/m.room.message/`
  for (let count = 0; performance.now() < end; count++) {
    const started = performance.now()
    await user.put(`${path}${run}${count}`, { msgtype: 'm.text', body: `message ${count} of the benchmark` })
    samples.push(performance.now() - started)
  }
}

async function measure(seconds: number): Promise<{ samples: number[]; elapsed: number; cpu: number }> {
  const samples: number[] = []
  const cpu = cpuSeconds(pids)
  const started = performance.now()
  const end = started + seconds * 1000
  await Promise.all(users.map((user, index) => sendUntil(user, roomIds[index % rooms]!, end, samples)))
  return { samples, elapsed: (performance.now() - started) / 1000, cpu: cpuSeconds(pids) - cpu }
}

await measure(2)
const { samples, elapsed, cpu } = await measure(Number(values.seconds))
const { count, p50, p99, max } = latenciesOf(samples)
console.log(
  [
    `${senders} senders in ${rooms} rooms: ${(count / elapsed).toFixed(0)}/s`,
    `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, max ${max.toFixed(1)} ms`,
    ...(pids.length > 0
      ? [`CPU ${((cpu / count) * 1e6).toFixed(0)} µs a message, ${residentMiB(pids).toFixed(0)} MiB resident`]
      : []),
  ].join('; '),
)
await connection.close()
