import { expect, test } from 'vitest'
import { answerProblem, operationsOf } from './openapi.ts'

test('every operation of the specification is found', () => {
  expect(operationsOf('client-server')).toHaveLength(166)
  expect(operationsOf('server-server')).toHaveLength(36)
  expect(operationsOf('client-server').find((operation) => operation.operationId === 'login')).toMatchObject({
    method: 'post',
    path: '/_matrix/client/v3/login',
  })
})

test('an answer that the specification does not allow is a problem', async () => {
  const problem = (status: number, body: unknown) => answerProblem('post', '/_matrix/client/v3/login', status, body)
  const good = { user_id: '@a:a.test', access_token: 'x', device_id: 'D' }
  expect(await problem(200, good)).toBeUndefined()
  expect(await problem(200, { ...good, user_id: 'a' })).toMatch(/^login answered 200 with \/user_id/)
  expect(await problem(200, { ...good, device_id: undefined })).toMatch(/device_id/)
  expect(await problem(429, { errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 'soon' })).toMatch(/retry_after_ms/)
  expect(await answerProblem('get', '/_matrix/client/unstable/x', 200, 5)).toBeUndefined()
})

test('the schemas of all answers can be used', async () => {
  for (const { method, path } of operationsOf('client-server')) {
    for (const status of [200, 400, 401, 403, 404, 429]) {
      await answerProblem(method, path.replaceAll(/\{\w+\}/g, 'x'), status, {})
    }
  }
}, 60_000)
