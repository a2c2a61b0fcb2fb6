import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const folders = ['src', 'federation', 'bench']
const integration = folders.map((folder) => `${folder}/**/*.integration.test.ts`)

/** Minutes with another hand's server, or with the program started over and over: last, one of them would run alone. */
const longest = [
  'complement-tests/synapse-federation.test.ts',
  'src/main.integration.test.ts',
  'complement-tests/encrypted-conversation.test.ts',
  'complement-tests/python-client.test.ts',
  'complement-tests/bridge.test.ts',
  'src/budgets.integration.test.ts',
  'src/rooms/history-visibility.integration.test.ts',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = longest.findIndex((file) => moduleId.endsWith(`/${file}`))
      return index < 0 ? longest.length : index
    }
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other))
  }
}

/**
 * The files of a worker in one process, which loads the program once: for each file anew it took as much of a processor as the tests.
 * Nothing is kept outside a context, so there is nothing that one file could leave to the next.
 */
const together = { isolate: false }

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    // What is waited for comes at once, but on a machine that has much to do.
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 60_000,
    maxWorkers: 2,
    // A machine that runs a client, servers and databases on two cores can be too slow once; vitest names what it repeats.
    retry: process.env.CI === undefined ? 0 : 1,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          ...together,
          include: folders.map((folder) => `${folder}/**/*.test.ts`),
          exclude: [...integration, '**/node_modules/**'],
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          ...together,
          include: integration,
          globalSetup: ['src/testing/global-setup.ts'],
        },
      },
      {
        extends: true,
        // Against the started program, from outside.
        test: {
          name: 'black-box',
          include: ['complement-tests/**/*.test.ts'],
          globalSetup: ['src/testing/global-setup.ts'],
        },
      },
    ],
  },
})
