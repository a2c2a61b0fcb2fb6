import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startFederatedServer } from './federated-server.fixtures.ts'

const folder = join(import.meta.dirname, '../docs/monitoring')

/** The metrics that an alert rule or a panel asks for; of a histogram, its name. */
function metricsIn(text: string): Set<string> {
  const names = text.match(/\b(?:chappe|nodejs|process)_[a-z_]+[a-z]\b/g) ?? []
  return new Set(names.map((name) => name.replace(/_(?:bucket|sum|count)$/, '')))
}

test('what the alert rules and the board ask for is told, and what is told is on the board', async () => {
  await using server = await startFederatedServer()
  const told = new Set([...(await server.ctx.metrics.scrape()).matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]!))
  const board = metricsIn(readFileSync(join(folder, 'grafana.json'), 'utf8'))
  const alerts = metricsIn(readFileSync(join(folder, 'alerts.yaml'), 'utf8'))
  expect([...board, ...alerts].filter((name) => !told.has(name))).toEqual([])
  const unseen = [...told].filter((name) => !board.has(name) && !alerts.has(name))
  expect(unseen).toEqual([])
})
