import { Counter, Histogram, type Registry } from 'prom-client'
import type { Edge } from './allow-list.ts'

/** What is counted about other servers. Which server it was is no label: there may be thousands. */
export type FederationMetrics = {
  asked(outcome: 'answered' | 'refused' | 'unreachable', seconds: number): void
  sent(pdus: number, edus: number): void
  received(pdus: { readonly accepted: number; readonly refused: number }, edus: number): void
  /** What policy servers said of an event that they were asked about. */
  policyChecked(outcome: 'recommended' | 'refused' | 'unanswered'): void
  /** A server that is not allowed, or is denied: refused, or let through in a dry run. */
  barred(rule: 'allow' | 'deny', edge: Edge, isDryRun: boolean): void
}

export function createFederationMetrics(registry: Registry): FederationMetrics {
  const registers = [registry]
  const requests = new Histogram({
    name: 'chappe_federation_request_duration_seconds',
    help: 'Requests to other servers: answered with 200, refused with another status, or without an answer',
    labelNames: ['outcome'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  })
  const sent = new Counter({
    name: 'chappe_federation_sent_total',
    help: 'PDUs and EDUs that other servers took',
    labelNames: ['kind'],
    registers,
  })
  const received = new Counter({
    name: 'chappe_federation_received_total',
    help: 'PDUs and EDUs of other servers; refused PDUs were invalid, not allowed, or could not be stored',
    labelNames: ['kind', 'outcome'],
    registers,
  })
  const barred = new Counter({
    name: 'chappe_federation_barred_total',
    help: 'Servers that federation.allow does not name or federation.deny names: refused, or let through in a dry run',
    labelNames: ['rule', 'edge', 'outcome'],
    registers,
  })
  const policyChecks = new Counter({
    name: 'chappe_federation_policy_checks_total',
    help: 'Events that policy servers of rooms were asked about: recommended, refused, or left without an answer',
    labelNames: ['outcome'],
    registers,
  })
  return {
    policyChecked: (outcome) => policyChecks.inc({ outcome }),
    barred: (rule, edge, isDryRun) => barred.inc({ rule, edge, outcome: isDryRun ? 'let_through' : 'refused' }),
    asked: (outcome, seconds) => requests.observe({ outcome }, seconds),
    sent(pdus, edus) {
      sent.inc({ kind: 'pdu' }, pdus)
      sent.inc({ kind: 'edu' }, edus)
    },
    received({ accepted, refused }, edus) {
      received.inc({ kind: 'pdu', outcome: 'accepted' }, accepted)
      received.inc({ kind: 'pdu', outcome: 'refused' }, refused)
      received.inc({ kind: 'edu', outcome: 'accepted' }, edus)
    },
  }
}
