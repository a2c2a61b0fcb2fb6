import { endpoint } from '../../http/endpoint.ts'

/** All of v1; OAuth 2.0 and single sign-on, which are not there, clients look for by asking. */
const versions = ['r0.6.1', ...Array.from({ length: 19 }, (_, index) => `v1.${index + 1}`)]

/** Spec: Client-Server API, `GET /_matrix/client/versions` (v1.19). */
export const getVersions = endpoint({
  method: 'get',
  path: '/_matrix/client/versions',
  auth: 'none',
  handle(ctx) {
    const { experimental } = ctx.config
    return {
      versions,
      unstable_features: {
        ...(experimental.msc2666 && {
          'uk.half-shot.msc2666.query_mutual_rooms': true,
          'uk.half-shot.msc2666.query_mutual_rooms.stable': true,
        }),
        ...(experimental.msc3881 && { 'org.matrix.msc3881': true }),
        ...(experimental.msc1763 && { 'org.matrix.msc1763': true }),
        ...(experimental.msc2000 && { 'org.matrix.msc2000': true }),
        ...(experimental.msc3391 && { 'org.matrix.msc3391': true }),
        ...(experimental.msc3757 && { 'org.matrix.msc3757': true }),
        ...(experimental.msc3814 && { 'org.matrix.msc3814': true }),
        ...(experimental.msc3874 && { 'org.matrix.msc3874': true }),
        ...(experimental.msc3890 && { 'org.matrix.msc3890': true }),
        ...(experimental.msc3930 && { 'org.matrix.msc3930': true }),
        ...(experimental.msc4028 && { 'org.matrix.msc4028': true }),
        ...(experimental.msc4108 && { 'org.matrix.msc4108': true }),
        ...(experimental.msc4388 && { 'io.element.msc4388': true }),
        ...(experimental.msc4140 && { 'org.matrix.msc4140': true }),
        ...(experimental.msc4143 && { 'org.matrix.msc4143': true }),
        ...(experimental.msc4155 && { 'org.matrix.msc4155': true }),
        ...(experimental.msc4306 && { 'org.matrix.msc4306': true }),
        ...(experimental.msc4429 && { 'org.matrix.msc4429': true }),
        ...(experimental.msc4354 && { 'org.matrix.msc4354': true }),
        ...(experimental.sliding_sync && { 'org.matrix.simplified_msc3575': true }),
      },
    }
  },
})
