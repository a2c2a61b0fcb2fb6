import { MatrixError } from '../../../matrix/errors.ts'
import { newsOfUser } from '../../../storage/user-data.ts'
import { coldSince, loadToDevice, toDevicePerSync } from '../../user-extras.ts'
import type { Extension } from './extension.ts'

/** Spec: MSC3885. The client acknowledges messages by coming back with `since`. */
export const toDevice: Extension = {
  name: 'to_device',
  ofRooms: false,
  async answer(ctx, { session, request, asked, upTo }) {
    const after = sinceOf(asked.since)
    const { reader } = request
    const cold = coldSince(session, upTo, after).toDevice
    const news =
      cold === undefined
        ? Promise.resolve([])
        : ctx.database.read(newsOfUser, [reader.userNid, reader.deviceId, upTo, null, cold, toDevicePerSync, [], []])
    const since = { position: Math.min(after, upTo) }
    const { messages, upTo: last } = await loadToDevice(ctx, session, { reader, since }, upTo, news)
    const text = `{"next_batch":"${last ?? upTo}","events":[${messages.join(',')}]}`
    return { text, isNews: messages.length > 0 }
  },
}

function sinceOf(text: unknown): number {
  if (text === undefined || text === null) return 0
  const position = typeof text === 'string' && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(position)) return position
  throw new MatrixError('M_INVALID_PARAM', 'extensions.to_device.since: unknown token')
}
