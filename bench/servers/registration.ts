import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { RegistersBy } from './server.ts'

const serviceToken = 'token-of-the-benchmark'

export const registersBy: RegistersBy = { serviceToken, sharedSecret: 'secret of the benchmark' }

/** Registers an application service that makes the users of a benchmark, and is told nothing. */
export function writeRegistration(folder: string): string {
  const file = join(folder, 'service.yaml')
  writeFileSync(
    file,
    stringify({
      id: 'bench',
      url: null,
      as_token: serviceToken,
      hs_token: 'never sent',
      sender_localpart: 'bench-service',
      rate_limited: false,
      namespaces: { users: [{ exclusive: false, regex: '@.*' }], aliases: [], rooms: [] },
    }),
  )
  return file
}
