import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

const file = (name: string): string => readFileSync(join(import.meta.dirname, '..', name), 'utf8')

test('O07: the image runs as nobody in particular', () => {
  const users = [...file('Dockerfile').matchAll(/^USER (\S+)$/gm)].map((match) => match[1]!)
  expect(users.at(-1)).toMatch(/^[1-9]\d*:[1-9]\d*$/)
})

test('O07: in the deployment it can write nowhere but where its data are, and become nobody else', () => {
  const { services } = parse(file('compose.yaml'), { merge: true }) as { services: { [name: string]: object } }
  const own = Object.entries(services).filter(([name]) => name.startsWith('chappe-'))
  expect(own).toHaveLength(2)
  for (const [name, service] of own) {
    expect(service, name).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    })
    expect(service, name).not.toHaveProperty('privileged')
    expect(service, name).not.toHaveProperty('cap_add')
  }
})

test('it is started in the image as by npm', () => {
  const { scripts } = JSON.parse(file('package.json')) as { scripts: { start: string } }
  const [, variables, options] = /^((?:[A-Z_]+=\S+ )*)exec node ((?:--\S+ )*)chappe\.js start$/.exec(scripts.start)!
  for (const variable of variables!.trim().split(' ')) expect(file('Dockerfile')).toContain(` ${variable}`)
  expect(file('Dockerfile')).toContain(` NODE_OPTIONS=${options!.trim()} `)
})
