import { expect, test } from 'vitest'
import { createAddressPolicy } from './addresses.ts'

test.each([
  '127.0.0.1',
  '10.1.2.3',
  '172.31.0.1',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '0.0.0.0',
  '::1',
  '::ffff:10.0.0.1',
  '::10.0.0.1',
  '2002:0a00:0001::',
  '64:ff9b::0a00:1',
  'fd00::1',
  'fe80::1',
  'no.address',
])('F49: %s is not connected to', (address) => {
  expect(createAddressPolicy([])(address)).toBe(false)
})

test('public addresses and exempt networks are', () => {
  const policy = createAddressPolicy(['10.0.0.0/8', '::1'])
  for (const address of ['1.1.1.1', '2606:4700::1111', '10.2.3.4', '::1']) expect(policy(address)).toBe(true)
  expect(policy('192.168.1.1')).toBe(false)
})
