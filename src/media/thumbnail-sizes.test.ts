import { expect, test } from 'vitest'
import { thumbnailForm, thumbnailPixels, variantOf } from './thumbnail-sizes.ts'

test.each([
  [32, 32, 'crop', 'crop-32x32'],
  [33, 33, 'crop', 'crop-96x96'],
  [96, 48, 'crop', 'scale-320x240'],
  [1, 1, 'scale', 'scale-320x240'],
  [320, 241, 'scale', 'scale-640x480'],
  [800, 600, 'scale', 'scale-800x600'],
  [900, 900, 'crop', 'scale-1600x1200'],
  [1601, 10, 'scale', 'full'],
] as const)('%i × %i %s is made as %s', (width, height, method, expected) => {
  expect(variantOf(thumbnailForm({ width, height, method, animated: false }))).toBe(expected)
})

const scale = { method: 'scale', size: { width: 320, height: 240 }, animated: false } as const
const crop = { method: 'crop', size: { width: 96, height: 96 }, animated: false } as const

test.each([
  [640, 480, scale, { width: 320, height: 240 }],
  [1000, 480, scale, { width: 500, height: 240 }],
  [320, 240, scale, undefined],
  [4000, 200, scale, undefined],
  [300, 200, crop, { width: 96, height: 96 }],
  [300, 50, crop, { width: 96, height: 50 }],
  [96, 96, crop, undefined],
])('an image of %i × %i', (width, height, form, expected) => {
  expect(thumbnailPixels({ width, height, isAnimated: false }, form)).toEqual(expected)
})

test('an animation that must not move is made anew, in its own size where it is small', () => {
  const small = { width: 20, height: 10, isAnimated: true }
  expect(thumbnailPixels(small, scale)).toEqual({ width: 20, height: 10 })
  expect(thumbnailPixels(small, { ...scale, animated: true })).toBeUndefined()
  expect(thumbnailPixels(small, { ...scale, size: undefined })).toEqual({ width: 20, height: 10 })
})
