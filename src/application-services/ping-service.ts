import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import type { ServiceAnswer } from './ask-service.ts'
import type { ApplicationService } from './registration.ts'

/** Characters of a service's answer that are passed on. */
const mostPassedOn = 10_000

/**
 * Asks a service whether it is there, at its own request.
 *
 * Spec: Application Service API, "Pinging" (v1.19).
 *
 * @returns milliseconds that it took.
 * @throws MatrixError M_URL_NOT_SET, M_CONNECTION_FAILED, M_CONNECTION_TIMEOUT, M_BAD_STATUS with the answer.
 */
export async function pingService(
  ctx: Pick<Context, 'applicationServices' | 'clock'>,
  service: ApplicationService,
  transactionId: string | undefined,
): Promise<number> {
  if (service.url === undefined) throw new MatrixError('M_URL_NOT_SET', 'The application service has no URL')
  const started = ctx.clock.monotonic()
  const body = JSON.stringify(transactionId === undefined ? {} : { transaction_id: transactionId })
  let answer: ServiceAnswer
  try {
    answer = await ctx.applicationServices.client.ask(service, { method: 'POST', path: '/_matrix/app/v1/ping', body })
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') {
      throw new MatrixError('M_CONNECTION_TIMEOUT', 'The application service did not answer in time')
    }
    throw new MatrixError('M_CONNECTION_FAILED', 'The application service cannot be reached')
  }
  if (answer.status < 200 || answer.status > 299) {
    throw new MatrixError('M_BAD_STATUS', `The application service answered ${answer.status}`, {
      status: 502,
      extra: { status: answer.status, body: answer.text.slice(0, mostPassedOn) },
    })
  }
  ctx.applicationServices.retry(service)
  return Math.round(ctx.clock.monotonic() - started)
}
