import { createAccount, newUserId } from '../../accounts/create-account.ts'
import { openSession } from '../../accounts/sessions.ts'
import type { ApplicationService } from '../../application-services/registration.ts'
import type { Context } from '../../context.ts'
import { MatrixError } from '../../matrix/errors.ts'
import type { ServerName } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json.ts'
import { sessionAnswer } from '../session/session-answer.ts'

type Body = {
  readonly username?: string
  readonly device_id?: string
  readonly initial_device_display_name?: string
  readonly inhibit_login?: boolean
  readonly refresh_token?: boolean
}

/**
 * Registers a user of an application service: without a password, and without asking anything.
 *
 * Spec: Application Service API, "Server admin style permissions" (v1.19).
 *
 * @throws MatrixError M_EXCLUSIVE for a user outside of its namespaces; M_USER_IN_USE; M_INVALID_USERNAME.
 */
export async function registerForService(
  ctx: Context,
  service: ApplicationService,
  domain: ServerName,
  body: Body,
): Promise<JsonObject> {
  if (body.username === undefined) throw new MatrixError('M_MISSING_PARAM', 'Missing: username')
  const userId = newUserId(ctx, body.username, domain)
  if (!ctx.applicationServices.isUserOf(service, userId)) {
    throw new MatrixError('M_EXCLUSIVE', 'This user is not in a namespace of the application service')
  }
  ctx.applicationServices.checkUser(userId, service)
  const { userNid } = await createAccount(ctx, { userId })
  if (body.inhibit_login === true) return { user_id: userId, home_server: domain }
  const session = await openSession(
    ctx,
    { userId, userNid },
    { deviceId: body.device_id, displayName: body.initial_device_display_name, refreshable: body.refresh_token },
  )
  return sessionAnswer({ userId, domain }, session)
}
