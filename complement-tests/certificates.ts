import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate authority of a test, and certificates for servers on this machine. */
export type Authority = Disposable & {
  /** The authority's own certificate. */
  readonly ca: string
  certify(name: string): { readonly certificate: string; readonly key: string }
}

/** Files made by `openssl`, good for two days. */
export function createAuthority(): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-certificates-'))
  const file = (name: string): string => join(folder, name)
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const authority = ['-x509', '-days', '2', '-subj', '/CN=Authority of a test']
  openssl('req', ...authority, ...newKey, '-keyout', file('ca.key'), '-out', file('ca.crt'))
  return {
    ca: file('ca.crt'),
    certify(name) {
      const [key, request, certificate] = [file(`${name}.key`), file(`${name}.csr`), file(`${name}.crt`)]
      openssl('req', ...newKey, '-keyout', key, '-out', request, '-subj', `/CN=${name}`)
      writeFileSync(file('extensions'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
      const signer = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial']
      openssl(
        'x509',
        '-req',
        '-in',
        request,
        ...signer,
        '-days',
        '2',
        '-extfile',
        file('extensions'),
        '-out',
        certificate,
      )
      return { certificate, key }
    },
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}
