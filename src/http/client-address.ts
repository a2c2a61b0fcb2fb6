import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'
import { ConfigError } from '../config.ts'

/** Where a request comes from and which host it asks for, past the proxies that are trusted to say so. */
export type Origins = {
  addressOf(request: IncomingMessage): string
  hostOf(request: IncomingMessage): string | undefined
  /** Whether it comes by a trusted proxy. */
  isProxied(request: IncomingMessage): boolean
}

/**
 * @param trusted addresses and networks (CIDR) of reverse proxies.
 * @throws ConfigError
 */
export function createOrigins(trusted: readonly string[]): Origins {
  if (trusted.length === 0) {
    return {
      addressOf: (request) => plain(request.socket.remoteAddress),
      hostOf: (request) => request.headers.host,
      isProxied: () => false,
    }
  }
  const proxies = networks(trusted)
  const isTrusted = (address: string): boolean =>
    isIP(address) !== 0 && proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
  return {
    isProxied: (request) => isTrusted(plain(request.socket.remoteAddress)),
    addressOf(request) {
      const peer = plain(request.socket.remoteAddress)
      const forwarded = request.headers['x-forwarded-for']
      if (forwarded === undefined || !isTrusted(peer)) return peer
      const hops = String(forwarded).split(',')
      let address = peer
      // From the nearest hop on: what a trusted proxy says of the one before it is believed.
      for (const hop of hops.reverse()) {
        const candidate = plain(hop.trim())
        if (isIP(candidate) === 0) break
        address = candidate
        if (!isTrusted(address)) break
      }
      return address
    },
    hostOf(request) {
      const forwarded = request.headers['x-forwarded-host']
      return typeof forwarded === 'string' && isTrusted(plain(request.socket.remoteAddress))
        ? forwarded.split(',')[0]!.trim()
        : request.headers.host
    },
  }
}

function networks(trusted: readonly string[]): BlockList {
  const list = new BlockList()
  for (const entry of trusted) {
    const [address, prefix] = entry.split('/') as [string, string?]
    const family = isIP(address)
    const bits = prefix === undefined ? (family === 6 ? 128 : 32) : Number(prefix)
    if (family === 0 || !Number.isInteger(bits) || bits < 0 || bits > (family === 6 ? 128 : 32)) {
      throw new ConfigError([`trusted_proxies: expected an address or a network such as 10.0.0.0/8, not "${entry}"`])
    }
    list.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** An IPv4 address that arrives on an IPv6 socket is the same address. */
function plain(address: string | undefined): string {
  if (address === undefined) return ''
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
