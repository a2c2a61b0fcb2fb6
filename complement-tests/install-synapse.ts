import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What Chappe is tested against and compared with. */
export const synapseVersion = '1.163.2'

/** With the driver for PostgreSQL as a wheel: the one Synapse names is compiled. */
const packages = [`matrix-synapse==${synapseVersion}`, 'psycopg2-binary==2.9.13']

/**
 * The Python that has Synapse: installed once from the Python package index, beside the packages of this project.
 *
 * @throws Error when there is no Python with `venv`, or the index cannot be reached.
 */
export function pythonWithSynapse(): string {
  const folder = join(import.meta.dirname, '..', 'node_modules', '.cache', `synapse-${synapseVersion}`)
  const python = join(folder, 'bin', 'python')
  const complete = join(folder, 'complete')
  if (existsSync(complete) && readFileSync(complete, 'utf8') === packages.join()) return python
  rmSync(folder, { recursive: true, force: true })
  execFileSync('python3', ['-m', 'venv', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  writeFileSync(complete, packages.join())
  return python
}
