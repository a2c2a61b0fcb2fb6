import { pythonWith } from './install-python.ts'

/** What Chappe is tested against and compared with. */
export const synapseVersion = '1.163.2'

/** With the driver for PostgreSQL as a wheel: the one Synapse names is compiled. */
const packages = [`matrix-synapse==${synapseVersion}`, 'psycopg2-binary==2.9.13']

/** @throws Error when it cannot be installed. */
export function pythonWithSynapse(): Promise<string> {
  return pythonWith('synapse', packages)
}
