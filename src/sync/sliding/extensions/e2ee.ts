import { loadDeviceLists } from '../../user-extras.ts'
import type { Extension } from './extension.ts'

/** Spec: MSC3884. */
export const e2ee: Extension = {
  name: 'e2ee',
  ofRooms: false,
  async answer(ctx, { session, request, since, upTo }) {
    const moved = since !== undefined && [...session.rooms.values()].some((room) => room.since > since)
    const [lists, keys] = await Promise.all([
      since === undefined ? undefined : loadDeviceLists(ctx, session, { moved, completed: false }, since, upTo),
      ctx.deviceKeys.counts(request.reader),
    ])
    const text =
      `{"device_one_time_keys_count":${JSON.stringify(keys.oneTime)},` +
      `"device_unused_fallback_key_types":${JSON.stringify(keys.unusedFallback)}` +
      `${lists ? `,"device_lists":${JSON.stringify(lists)}` : ''}}`
    return { text, isNews: lists !== undefined }
  },
}
