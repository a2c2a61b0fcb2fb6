import release from '../../package.json' with { type: 'json' }

/** The name and release of the program. */
export const serverVersion = `Chappe ${release.version}`
