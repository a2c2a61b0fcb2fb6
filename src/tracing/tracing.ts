import type { Attributes, Span as OpenTelemetrySpan, Context as SpanContextHolder } from '@opentelemetry/api'
import type { Config } from '../config-schema.ts'
import { currentCourse } from './course.ts'

/** Something that takes time, as traces show it. */
export type Span = {
  /** What it is called, where that is only found out in its course. */
  name(name: string): void
  end(outcome?: { readonly attributes?: Attributes; readonly hasFailed?: boolean }): void
}

export type SpanOptions = {
  /** What somebody asks us, what we ask somebody, or what we do by ourselves. */
  readonly kind: 'server' | 'client' | 'internal'
  readonly name: string
  /** `traceparent` of whoever asks, where they are trusted. */
  readonly traceParent?: string | undefined
  /** What it is done for, if that is more than the current course. */
  readonly links?: readonly Span[]
  /** By `performance.now()`; now without it. */
  readonly started?: number
  readonly attributes?: Attributes
}

/**
 * Traces by OpenTelemetry. What is traced is the operation, never its path, and names of statements, never their values: no ids
 * of users or rooms, no tokens, nothing that was said.
 */
export type Tracing = {
  /** Begins a part of the current course, or a trace of its own where there is none. */
  begin(options: SpanOptions): Span
  /** Sends what is left. */
  close(): Promise<void>
}

/** Milliseconds that the collector has to take spans. What it does not take is lost, and nobody waits for it. */
const exportTimeout = 5000
/** Spans that wait to be sent; more are dropped. */
const mostWaiting = 8192

/** W3C Trace Context: version, trace, parent, flags. */
const traceParentPattern = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/

/** @returns undefined where nothing is to be traced: then nothing is loaded either. */
export async function openTracing(
  config: Pick<Config, 'tracing' | 'server_names'>,
  process: { readonly version: string; readonly processId: string },
): Promise<Tracing | undefined> {
  const { endpoint, authorization, sample_ratio: ratio, service_name: service } = config.tracing
  if (endpoint === undefined) return undefined
  const [api, sdk, { resourceFromAttributes }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  const exporter = new OTLPTraceExporter({
    url: endpoint,
    timeoutMillis: exportTimeout,
    ...(authorization !== undefined && { headers: { authorization } }),
  })
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      'service.name': service,
      'service.version': process.version,
      'service.instance.id': process.processId,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(ratio) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({ exporter, maxQueueSize: mostWaiting, exportTimeoutMillis: exportTimeout }),
    ],
  })
  const tracer = provider.getTracer('chappe')
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = api
  const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL }
  const originals = new WeakMap<Span, OpenTelemetrySpan>()

  const parentOf = (traceParent: string | undefined): SpanContextHolder => {
    const span = currentCourse()?.span
    if (span !== undefined) return trace.setSpan(ROOT_CONTEXT, originals.get(span)!)
    const given = traceParentPattern.exec(traceParent ?? '')
    if (given === null) return ROOT_CONTEXT
    const [, traceId, spanId, flags] = given as unknown as [string, string, string, string]
    return trace.setSpanContext(ROOT_CONTEXT, {
      traceId,
      spanId,
      traceFlags: Number.parseInt(flags, 16),
      isRemote: true,
    })
  }

  return {
    begin({ kind, name, traceParent, links = [], started, attributes = {} }) {
      const options = {
        kind: kinds[kind],
        attributes,
        links: links.map((link) => ({ context: originals.get(link)!.spanContext() })),
        ...(started !== undefined && { startTime: performance.timeOrigin + started }),
      }
      const original = tracer.startSpan(name, options, parentOf(traceParent))
      const span: Span = {
        name: (text) => void original.updateName(text),
        end({ attributes: more, hasFailed = false } = {}) {
          if (more !== undefined) original.setAttributes(more)
          if (hasFailed) original.setStatus({ code: SpanStatusCode.ERROR })
          original.end()
        },
      }
      originals.set(span, original)
      return span
    },
    close: () => provider.shutdown().catch(() => {}),
  }
}
