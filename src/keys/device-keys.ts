/** What a device has uploaded for others to encrypt to it with. */
export type DeviceKeys = {
  /** How many one-time keys of a device are left, by algorithm, and for which algorithms its fallback key is unused. */
  counts(device: { readonly userNid: number; readonly deviceId: string }): Promise<KeyCounts>
}

export type KeyCounts = {
  readonly oneTime: { readonly [algorithm: string]: number }
  readonly unusedFallback: readonly string[]
}

export function createDeviceKeys(): DeviceKeys {
  return { counts: async () => ({ oneTime: { signed_curve25519: 0 }, unusedFallback: [] }) }
}
