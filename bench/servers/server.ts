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
  /** How other servers come to it, and it to them; undefined where it is not set up for that. */
  readonly federation?: { readonly serverName: string; readonly ca: string | undefined }
  stop(): Promise<void>
}

/** Users of an application service have no password, whose hash takes longer than most of what is measured. */
export type RegistersBy = { readonly sharedSecret: string; readonly serviceToken?: string }
