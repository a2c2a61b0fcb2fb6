import type { Authority } from '../../complement-tests/certificates.ts'

/** A homeserver that is measured. */
export type BenchServer = {
  readonly name: string
  /** For clients; of several processes each has one. */
  readonly urls: readonly string[]
  readonly registersBy: RegistersBy
  /** Whose CPU is counted. Empty where it runs somewhere else. */
  readonly pids: { readonly server: readonly number[]; readonly database: readonly number[] }
  /** Bytes of the database; undefined where nobody can tell. */
  databaseBytes?(): Promise<number>
  /** Other servers come to it by its URL, and it to them by TLS with certificates of the authority; undefined: by no way. */
  readonly federation?: { readonly serverName: string; readonly authority: Authority }
  stop(): Promise<void>
}

/** Users of an application service have no password, whose hash takes longer than most of what is measured. */
export type RegistersBy = { readonly sharedSecret: string; readonly serviceToken?: string }
