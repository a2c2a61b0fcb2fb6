import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

/** A client for browsers, what drives a browser, and what puts the client's modules into one. */
const packages = ['hydrogen-view-sdk@0.3.1', 'playwright-core@1.65.1', 'esbuild@0.28.2']
/** What its encryption asks for where it does not run in a browser. */
const absent = ['crypto', 'fs', 'path']

/** As much of a page of playwright as is needed here. */
export type Page = {
  goto(address: string): Promise<unknown>
  evaluate<Result>(expression: string): Promise<Result>
  getByText(text: string): { first(): { waitFor(): Promise<void> } }
  screenshot(options: { path: string }): Promise<unknown>
  setDefaultTimeout(milliseconds: number): void
}

type Playwright = {
  chromium: {
    launch(options: { executablePath: string; args: string[] }): Promise<{
      newContext(options: object): Promise<{ newPage(): Promise<Page> }>
      close(): Promise<void>
    }>
  }
}

/** A browser, and the address of a page in which the client runs. */
export type Browser = AsyncDisposable & {
  readonly address: string
  /** A window that shares nothing with the others. */
  open(): Promise<Page>
}

/** Installs the client from npm and, where there is none and we may, Chromium from Debian. */
export async function startBrowser(): Promise<Browser> {
  const folder = mkdtempSync(join(tmpdir(), 'chappe-browser-'))
  await using started = new AsyncDisposableStack()
  started.defer(() => rmSync(folder, { recursive: true, force: true }))
  const run = promisify(execFile)
  const executablePath = await findChromium()
  await run('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--no-package-lock', ...packages])
  const modules = join(folder, 'node_modules')
  const app = join(import.meta.dirname, 'browser', 'app.js')
  const bundle = join(folder, 'app.js')
  const settings = ['--bundle', '--format=esm', '--log-level=error', ...absent.map((name) => `--external:${name}`)]
  const environment = { ...process.env, NODE_PATH: modules }
  await run(join(modules, '.bin', 'esbuild'), [app, ...settings, `--outfile=${bundle}`], { env: environment })
  const server = serve((path) => {
    if (path === '/') return join(import.meta.dirname, 'browser', 'index.html')
    // It serves what is below it.
    if (path === '/sw.js') return join(modules, 'hydrogen-view-sdk', 'lib-build', 'sw.js')
    return path === '/app.js' ? bundle : join(modules, path)
  })
  await once(server, 'listening')
  started.defer(() => void server.close())
  const entry = pathToFileURL(join(modules, 'playwright-core', 'index.mjs')).href
  const { chromium } = (await import(entry)) as Playwright
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  started.defer(() => browser.close())
  const owned = started.move()
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async open() {
      const context = await browser.newContext({ viewport: { width: 900, height: 700 } })
      const page = await context.newPage()
      page.setDefaultTimeout(60_000)
      return page
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const types: { readonly [extension: string]: string } = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.wasm': 'application/wasm',
}

function serve(fileOf: (path: string) => string): Server {
  return createServer((request, response) => {
    const file = fileOf(new URL(request.url!, 'http://localhost').pathname)
    if (!existsSync(file)) return void response.writeHead(404).end()
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream' })
    response.end(readFileSync(file))
  }).listen(0, '127.0.0.1')
}

/** @throws Error with one sentence. */
async function findChromium(): Promise<string> {
  const run = promisify(execFile)
  const find = (): Promise<string | undefined> =>
    run('which', ['chromium']).then(
      ({ stdout }) => stdout.trim(),
      () => undefined,
    )
  let path = await find()
  if (path === undefined && process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await run('apt-get', ['update', '-qq'], { env })
    await run('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'chromium'], { env })
    path = await find()
  }
  if (path === undefined) throw new Error('The test with a browser needs Chromium: install chromium.')
  return path
}
