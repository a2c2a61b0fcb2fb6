import { type LookupAddress, type LookupOptions, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { AddressPolicy } from './addresses.ts'

/** The host has no address that may be connected to. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused'
}

/** The system's resolver. */
export type Resolve = (
  hostname: string,
  options: LookupOptions & { all: true },
  callback: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void

/** Names are resolved once for each connection, checked, and connected to by what was checked. */
export function checkedLookup(policy: AddressPolicy, resolve: Resolve = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      const usable = error ? [] : found.filter(({ address }) => policy(address))
      const [first] = usable
      if (first === undefined) callback(error ?? new AddressRefused(`${hostname} may not be used`), '', 0)
      else if (options.all === true) callback(null, usable)
      else callback(null, first.address, first.family)
    })
  }
}
