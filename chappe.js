#!/usr/bin/env node
// JavaScript, unlike everything it starts: what Node takes types out of programs with is then loaded only for files that the
// cache does not have. That is most of the time to start, and 13 MiB.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'

// Inside the program's own folder: what is in a folder that others can write to must not be run.
enableCompileCache(join(import.meta.dirname, 'node_modules', '.cache', 'chappe'))
// In per cent of what is alive. On a large machine V8 would let garbage grow to three times that before it looks, for a few per cent
// of a processor: 100 MiB under load.
setFlagsFromString('--heap-growing-percent=60')

await import('./src/main.ts')
