import { parseArgs } from 'node:util'

export type Command = {
  readonly name:
    | 'start'
    | 'migrate'
    | 'check-config'
    | 'generate-signing-key'
    | 'rotate-key'
    | 'revoke-key'
    | 'create-user'
    | 'set-password'
    | 'audit'
    | 'after-restore'
  readonly config: string | undefined
  /** What follows the command's name. */
  readonly operands: readonly string[]
  readonly admin: boolean
  readonly password: string | undefined
}

/** The command line asks for something that does not exist. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

export const usage = `Chappe, a Matrix homeserver

Usage: npm run chappe -- [COMMAND] [OPTIONS]     (npm start -- [OPTIONS] starts the server)

Commands:
  start                          Start the server (the default).
  migrate                        Bring the database to this release, and end.
  check-config                   Check the configuration, and end.
  generate-signing-key FILE      Write a new signing key.
  rotate-key DOMAIN              Give a domain a new key to sign with; the former one still counts.
  revoke-key DOMAIN KEY          End a former key of a domain: what it signed before still counts.
  create-user NAME               Create a user; NAME is a localpart or a whole user id.
  set-password USER              Set a user's password and end all their sessions.
  audit export                   Write what administrators did, as lines of JSON.
  after-restore                  Make a database that was restored from a back-up ready to go on.

Options:
  --config FILE       The configuration, YAML; config.sample.yaml shows every key.
  --admin             create-user: make an administrator.
  --password TEXT     create-user, set-password: the password. Without it one is asked for, read
                      from standard input when that is no terminal.
  --help              This text.

Every key of the configuration can also come from the environment: CHAPPE_ and its path in capitals,
such as CHAPPE_SERVER_NAMES, CHAPPE_PORT or CHAPPE_DATABASE_URL.`

const operandCounts: { readonly [name in Command['name']]: number } = {
  start: 0,
  migrate: 0,
  'check-config': 0,
  'generate-signing-key': 1,
  'rotate-key': 1,
  'revoke-key': 2,
  'create-user': 1,
  'set-password': 1,
  audit: 1,
  'after-restore': 0,
}

/** @throws CommandError */
export function parseArguments(args: readonly string[]): Command | 'help' {
  const { values, positionals } = parsed(args)
  if (values.help === true) return 'help'
  const [name = 'start', ...operands] = positionals
  if (!Object.hasOwn(operandCounts, name)) throw new CommandError(`there is no command "${name}", see --help`)
  const known = name as Command['name']
  const expected = operandCounts[known]
  if (operands.length !== expected) {
    throw new CommandError(`${known} takes ${['no operand', 'one operand', 'two operands'][expected]}, see --help`)
  }
  if (known === 'audit' && operands[0] !== 'export') throw new CommandError('audit knows export only, see --help')
  return { name: known, config: values.config, operands, admin: values.admin === true, password: values.password }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        admin: { type: 'boolean' },
        password: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new CommandError(`${(error as Error).message.split('.')[0]}, see --help`)
  }
}
