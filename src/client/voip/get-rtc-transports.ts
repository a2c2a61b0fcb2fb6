import { endpoint } from '../../http/endpoint.ts'

/** Spec: MSC4143, `GET /rtc/transports`. */
export const getRtcTransports = endpoint({
  method: 'get',
  path: '/_matrix/client/unstable/org.matrix.msc4143/rtc/transports',
  auth: 'user',
  when: (config) => config.experimental.msc4143,
  handle: (ctx) => ({ rtc_transports: ctx.config.matrix_rtc.transports }),
})
