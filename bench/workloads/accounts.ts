import { closedLoop, inParallel } from '../load.ts'
import { api, type Workload } from './workload.ts'

const login: Workload = {
  name: 'login',
  title: () => "log in with a password, 4 at a time, at each server's default hash",
  each: 'login',
  async run(bench) {
    const workers: (() => Promise<unknown>)[] = []
    for (let index = 0; index < 4; index++) {
      const password = `password number ${index}`
      const user = await bench.connections.registerWithPassword(`${bench.tag}-l${index}`, password)
      const identifier = { type: 'm.id.user', user: user.userId }
      workers.push(() => user.post(`${api}/login`, { type: 'm.login.password', identifier, password }))
    }
    await closedLoop(1, workers)
    return bench.measure(() => closedLoop(bench.seconds, workers))
  },
}

const terms = ['claude', 'chap', 'marie.ch', 'petit.12', 'nobody']
const first = ['claude', 'marie', 'jean', 'anne', 'paul', 'zoe', 'hugo', 'ines']
const last = ['chappe', 'martin', 'bernard', 'dubois', 'petit', 'durand', 'leroy', 'moreau', 'simon']

const directory: Workload = {
  name: 'user-directory',
  title: ({ scaled }) => `search among ${scaled(300_000, 1000)} users`,
  each: 'search',
  async run(bench) {
    const count = bench.scaled(300_000, 1000)
    const [searcher] = await bench.users('u', 1)
    const names = (index: number): string =>
      `${first[index % first.length]}.${last[index % last.length]}.${bench.tag}.${index}`
    await inParallel(
      16,
      Array.from({ length: count }, (_, index) => () => bench.connections.register(names(index))),
    )
    await bench.settled()
    const search = (round: number) =>
      searcher!.post(`${api}/user_directory/search`, { search_term: terms[round % terms.length], limit: 10 })
    await search(0)
    return bench.measure(() => closedLoop(bench.seconds / 2, [search]))
  },
}

export const accounts: readonly Workload[] = [login, directory]
