import type { Context } from '../context.ts'
import { MatrixError } from '../matrix/errors.ts'
import { type RoomAlias, type RoomId, type ServerName, serverNameOf, type UserId } from '../matrix/ids.ts'
import { type ResolvedRoom, resolveRoom } from '../rooms/resolve-room.ts'
import { findAccount } from '../storage/accounts.ts'
import type { ApplicationService } from './registration.ts'

/**
 * As `resolveRoom`, having asked the services where it would refuse.
 *
 * @throws MatrixError M_NOT_FOUND
 */
export async function resolveOrAsk(
  ctx: Engine & Parameters<typeof resolveRoom>[0],
  idOrAlias: RoomId | RoomAlias,
  asker?: ServerName,
): Promise<ResolvedRoom> {
  try {
    return await resolveRoom(ctx, idOrAlias, asker)
  } catch (error) {
    if (!idOrAlias.startsWith('#') || !(error instanceof MatrixError) || error.errcode !== 'M_NOT_FOUND') throw error
    if (!(await aliasIsMade(ctx, idOrAlias as RoomAlias))) throw error
    return resolveRoom(ctx, idOrAlias, asker)
  }
}

/** Lets the services make a local user who is unknown, and whom somebody wants to see or invite. */
export async function askForUser(ctx: Engine & Pick<Context, 'database' | 'domains'>, userId: UserId): Promise<void> {
  const isClaimed = ctx.applicationServices.all.some(({ users }) => users.includes(userId))
  if (!isClaimed || !ctx.domains.isLocal(serverNameOf(userId))) return
  if (!(await findAccount(ctx.database.db, userId))) await userIsMade(ctx, userId)
}

type Engine = Pick<Context, 'applicationServices' | 'log'>

/**
 * Asks the services whose namespaces an unknown user is in whether there is such a user; one that says so has made it by
 * then.
 *
 * Spec: Application Service API, "Querying" (v1.19).
 */
export function userIsMade(ctx: Engine, userId: UserId): Promise<boolean> {
  const asked = ctx.applicationServices.all.filter(({ users }) => users.includes(userId))
  return anyAnswers(ctx, asked, 'users', userId)
}

/** Likewise for an alias that leads nowhere. */
export function aliasIsMade(ctx: Engine, alias: RoomAlias): Promise<boolean> {
  const asked = ctx.applicationServices.all.filter(({ aliases }) => aliases.includes(alias))
  return anyAnswers(ctx, asked, 'rooms', alias)
}

async function anyAnswers(
  ctx: Engine,
  services: readonly ApplicationService[],
  kind: 'users' | 'rooms',
  id: string,
): Promise<boolean> {
  const name = encodeURIComponent(id)
  for (const service of services) {
    if (service.url === undefined) continue
    try {
      const path = `/_matrix/app/v1/${kind}/${name}`
      const answer = await ctx.applicationServices.client.ask(service, {
        method: 'GET',
        path,
        legacyPath: `/${kind}/${name}`,
      })
      if (answer.status === 200) return true
    } catch (error) {
      ctx.log.info({ service: service.id, error: (error as Error).message }, 'An application service cannot be asked')
    }
  }
  return false
}
