import { expect, test } from 'vitest'
import { type RoomRules, roomRules, supportedRoomVersions } from './room-versions.ts'

const firstVersionWith = (test: (rules: RoomRules) => boolean) =>
  supportedRoomVersions.find((version) => test(roomRules(version)))

/** Spec: "Room Versions", "Feature matrix", and the introduction of each version. */
test('what came with which version', () => {
  expect({
    stateResolution2: firstVersionWith((rules) => rules.stateResolution === 'v2'),
    hashedEventIds: firstVersionWith((rules) => rules.eventFormat === 'v3'),
    urlSafeEventIds: firstVersionWith((rules) => rules.eventFormat === 'v4'),
    redactionsUnchecked: firstVersionWith((rules) => !rules.auth.checksRedactions),
    keyValidity: firstVersionWith((rules) => rules.enforceKeyValidity),
    strictIntegers: firstVersionWith((rules) => rules.strictIntegers),
    notifications: firstVersionWith((rules) => rules.auth.checksNotificationLevels),
    noAliases: firstVersionWith((rules) => !rules.auth.aliasesByServer),
    knock: firstVersionWith((rules) => rules.auth.knock),
    restricted: firstVersionWith((rules) => rules.auth.restrictedJoin),
    knockRestricted: firstVersionWith((rules) => rules.auth.knockRestricted),
    integerPowerLevels: firstVersionWith((rules) => rules.auth.integerPowerLevels),
    creatorIsSender: firstVersionWith((rules) => !rules.auth.creatorInContent),
    redactsInContent: firstVersionWith((rules) => rules.redactsIn === 'content'),
    stateResolution21: firstVersionWith((rules) => rules.stateResolution === 'v2.1'),
    privilegedCreators: firstVersionWith((rules) => rules.auth.privilegedCreators),
    createEventIsRoomId: firstVersionWith((rules) => rules.createEventIsRoomId),
  }).toEqual({
    stateResolution2: '2',
    hashedEventIds: '3',
    redactionsUnchecked: '3',
    urlSafeEventIds: '4',
    keyValidity: '5',
    strictIntegers: '6',
    notifications: '6',
    noAliases: '6',
    knock: '7',
    restricted: '8',
    knockRestricted: '10',
    integerPowerLevels: '10',
    creatorIsSender: '11',
    redactsInContent: '11',
    stateResolution21: '12',
    privilegedCreators: '12',
    createEventIsRoomId: '12',
  })
})

test('each version knows its name; others are not known', () => {
  expect(supportedRoomVersions).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'])
  for (const version of supportedRoomVersions) expect(roomRules(version).version).toBe(version)
  for (const version of ['', '0', '13', '1.0', 'toString', '__proto__']) expect(roomRules(version)).toBeUndefined()
})
