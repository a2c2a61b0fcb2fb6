import { BlockList, isIP } from 'node:net'
import { MatrixError } from '../matrix/errors.ts'

/** Private, local and otherwise special networks, and the forms of IPv6 that hide an IPv4 address. */
const denied: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
  ['::', 96],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
]

/** Whether an address may be connected to. */
export type AddressPolicy = (address: string) => boolean

/** @param exempt Networks that may be connected to although they are special. @throws Error for what is no network. */
export function createAddressPolicy(exempt: readonly string[]): AddressPolicy {
  // In lists of their own: to a BlockList every IPv4 address is one of ::ffff:0:0/96 too.
  const special = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const [network, prefix] of denied) special[familyOf(network)].addSubnet(network, prefix, familyOf(network))
  const allowed = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const text of exempt) {
    const [network, prefix] = text.split('/')
    const family = familyOf(network!)
    allowed[family].addSubnet(network!, prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix), family)
  }
  return (address) => {
    if (isIP(address) === 0) return false
    const family = familyOf(address)
    return allowed[family].check(address, family) || !special[family].check(address, family)
  }
}

/** The host of a URL, without the brackets that an IPv6 address has. */
export function literalIn(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** @throws MatrixError */
export function refuseAddress(): never {
  throw new MatrixError('M_CONNECTION_FAILED', 'The server cannot be reached')
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6'
}
