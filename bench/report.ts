import { execFileSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import type { Aim, Figures, Sizes, Workload } from './workloads/workload.ts'

/** What one server did; a workload that failed has an error instead. */
export type Run = {
  readonly name: string
  /** What else the machine had to do just before: its load average over a minute. */
  readonly loadBefore: number
  readonly figures: ReadonlyMap<Workload, Figures | Error>
}

const notRun = new Error('not run')

/** One line for one workload on one server. */
export function lineOf(figures: Figures | Error): string {
  if (figures === notRun) return '–'
  if (figures instanceof Error) return `failed: ${figures.message.split('\n')[0]!.slice(0, 200)}`
  const { rate, p50, p99, serverCpu, databaseCpu, memory, bytes } = figures
  return [
    ...(rate === undefined ? [] : [`${short(rate)}/s`]),
    ...(p50 === undefined ? [] : [`${short(p50)} / ${short(p99 ?? 0)} ms`]),
    ...(serverCpu === undefined ? [] : [`CPU ${short(serverCpu)} + ${short(databaseCpu ?? 0)} ms`]),
    ...(bytes === undefined ? [] : [`${short(bytes)} bytes`]),
    ...(memory === undefined ? [] : [`${memory.toFixed(0)} MiB`]),
  ].join(', ')
}

/** The document: the first run is ours, and is compared with the second. */
export function reportOf(runs: readonly Run[], workloads: readonly Workload[], sizes: Sizes, command: string): string {
  const isCompared = runs.length === 2
  const heads = ['workload', ...runs.map(({ name }) => name), ...(isCompared ? ['ratio', 'aim'] : [])]
  const rows = workloads.map((workload) => {
    const found = runs.map(({ figures }) => figures.get(workload) ?? notRun)
    const [ours, theirs] = found as [Figures | Error, Figures | Error]
    const compared = isCompared ? [ratiosOf(ours, theirs), aimsOf(workload, ours, theirs)] : []
    return [`${workload.title(sizes)} (\`${workload.name}\`)`, ...found.map(lineOf), ...compared]
  })
  const table = [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.map(inCell).join(' | ')} |`)
  return `${[...headOf(command, runs), '', ...table].join('\n')}\n`
}

/** From which load on the machine is too busy for its figures to be worth much. */
const quiet = 0.5

function headOf(command: string, runs: readonly Run[]): string[] {
  const { model } = cpus()[0]!
  const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim()
  return [
    '# What was measured',
    '',
    `Written by \`${command}\` on ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC, of commit`,
    `${git('rev-parse', '--short', 'HEAD')}, on ${cpus().length} × ${model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}.`,
    ...busyness(runs),
    'PostgreSQL 18 with fsync on for each server, one server after the other; the load generator shares the machine.',
    '',
    'In each cell: how many a second; median and 99th percentile of the time; CPU of server + database for each; bytes for each,',
    'where counted; what the server holds in memory at the end. Ratios say how many times better the first column is.',
  ]
}

function busyness(runs: readonly Run[]): string[] {
  if (runs.every(({ loadBefore }) => loadBefore <= quiet)) return []
  const loads = runs.map(({ name, loadBefore }) => `${loadBefore.toFixed(1)} (${name})`).join(', ')
  return [
    `**The machine had other work to do**: its load average before was ${loads}. Rates and times say little then; CPU says more.`,
  ]
}

const compared: readonly (keyof Figures)[] = ['rate', 'p50', 'p99', 'cpu', 'memory', 'bytes']
const called: { readonly [figure in keyof Figures]: string } = { cpu: 'CPU' }

function ratiosOf(ours: Figures | Error, theirs: Figures | Error): string {
  if (ours instanceof Error || theirs instanceof Error) return ''
  return compared
    .flatMap((figure) => {
      const ratio = ratioOf(figure, ours, theirs)
      return ratio === undefined ? [] : [`${called[figure] ?? figure} ${short(ratio)}×`]
    })
    .join(', ')
}

/** How many times better ours is: of a rate more is better, of everything else less. */
function ratioOf(figure: keyof Figures, ours: Figures, theirs: Figures): number | undefined {
  const [our, their] = [ours[figure], theirs[figure]]
  if (our === undefined || their === undefined || our <= 0 || their <= 0) return undefined
  return figure === 'rate' ? our / their : their / our
}

function aimsOf({ aims = [] }: Workload, ours: Figures | Error, theirs: Figures | Error): string {
  return aims.map((aim) => `${aimText(aim)}: ${isReached(aim, ours, theirs)}`).join('; ')
}

function aimText({ figure, times, atMost }: Aim): string {
  return `${called[figure] ?? figure} ${times === undefined ? `≤ ${atMost}` : `≥ ${times}×`}`
}

function isReached({ figure, times, atMost }: Aim, ours: Figures | Error, theirs: Figures | Error): string {
  if (ours instanceof Error) return 'not measured'
  if (atMost !== undefined) return (ours[figure] ?? Number.POSITIVE_INFINITY) <= atMost ? 'reached' : '**not reached**'
  const ratio = theirs instanceof Error ? undefined : ratioOf(figure, ours, theirs)
  if (ratio === undefined) return 'not measured'
  return ratio >= times! ? 'reached' : '**not reached**'
}

/** With three digits that mean something. */
function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(value >= 10 ? 3 : 2)))
}

function inCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
