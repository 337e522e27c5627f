/**
 * The pins in the languages of other tools, so that they are declared once. Each is text of whole lines, without an
 * end of line; the same declaration gives the same text.
 */
import { type AnyService, type Services, urlVariable } from '../../services/declare.ts'
import { type Container, type Pinned, pinnedServices } from './containers.ts'

export interface ExportFormat {
  /** Where it is looked for where no file is named. */
  readonly file: string
  /** One sentence. */
  readonly summary: string
  render(services: Services): readonly string[]
}

const compose: ExportFormat = {
  file: 'portside.compose.yaml',
  summary: 'a Compose file with the datastores, on loopback; include it in your own',
  render(services) {
    const all = containersOf(services)
    if (all.length === 0) return ['services: {}']
    return [
      'services:',
      ...perService(services, ({ name, image, environment, hostPort, port, dataFolder, health }) => [
        `  ${name}:`,
        `    image: ${quoted(image)}`,
        ...mapping('environment', environment, '    '),
        '    ports:',
        `      - ${quoted(`127.0.0.1:${hostPort}:${port}`)}`,
        '    volumes:',
        `      - ${quoted(`${name}:${dataFolder}`)}`,
        '    healthcheck:',
        `      test: ["CMD-SHELL", ${quoted(health)}]`,
        '      interval: 1s',
        '      timeout: 5s',
        '      retries: 60',
      ]).map((line) => (line.startsWith('#') ? `  ${line}` : line)),
      'volumes:',
      ...all.map(({ name }) => `  ${name}: {}`),
    ]
  },
}

const github: ExportFormat = {
  file: '.github/workflows/ci.yml',
  summary: "the services and env of a job of GitHub's CI",
  render(services) {
    const all = containersOf(services)
    return [
      all.length === 0 ? 'services: {}' : 'services:',
      ...perService(services, ({ name, image, environment, hostPort, port, health }) => [
        `  ${name}:`,
        `    image: ${quoted(image)}`,
        ...mapping('env', environment, '    '),
        '    ports:',
        `      - ${quoted(`${hostPort}:${port}`)}`,
        '    options: >-',
        `      --health-cmd ${quoted(health)}`,
        '      --health-interval 1s --health-timeout 5s --health-retries 60',
      ]).map((line) => (line.startsWith('#') ? `  ${line}` : line)),
      ...mapping(
        'env',
        environmentOf(all, ({ hostPort }) => ['127.0.0.1', hostPort]),
        '',
      ),
    ]
  },
}

const gitlab: ExportFormat = {
  file: '.gitlab-ci.yml',
  summary: "the services and variables of a job of GitLab's CI",
  render(services) {
    const all = containersOf(services)
    return [
      all.length === 0 ? 'services: []' : 'services:',
      ...perService(services, ({ name, image, environment }) => [
        `  - name: ${quoted(image)}`,
        `    alias: ${quoted(name)}`,
        ...mapping('variables', environment, '    '),
      ]).map((line) => (line.startsWith('#') ? `  ${line}` : line)),
      ...mapping(
        'variables',
        environmentOf(all, ({ name, port }) => [name, port]),
        '',
      ),
    ]
  },
}

const terraform: ExportFormat = {
  file: 'portside.tf',
  summary: 'Terraform variables with the engine and version of each datastore',
  render: (services) =>
    pinnedServices(services)
      .flatMap(({ service, name, engine, version }) => [
        ...variable(
          `${snake(name)}_engine`,
          `The engine of the service "${service}", as it is declared.`,
          engine,
        ),
        '',
        ...variable(
          `${snake(name)}_version`,
          `The version of the service "${service}", as it is pinned.`,
          version,
        ),
        '',
      ])
      .slice(0, -1),
}

const dockerfile: ExportFormat = {
  file: 'Dockerfile',
  summary: 'build arguments with the engine, version and image of each datastore',
  render: (services) =>
    pinnedServices(services).flatMap(({ name, engine, version, container }) => {
      const prefix = snake(name).toUpperCase()
      return [
        `ARG ${prefix}_ENGINE=${engine}`,
        `ARG ${prefix}_VERSION=${version}`,
        ...(container === undefined ? [] : [`ARG ${prefix}_IMAGE=${container.image}`]),
      ]
    }),
}

const env: ExportFormat = {
  file: '.env.example',
  summary:
    'every variable that the declaration reads, with an example: datastores where the Compose file has them',
  render(services) {
    const containers = new Map(containersOf(services).map((container) => [container.variable, container]))
    return [
      '# "fake" stands in for the services of others; "real" (the default) calls them.',
      'PORTSIDE_EXTERNALS=fake',
      ...Object.entries<AnyService>(services).flatMap(([name, service]) => {
        const variable = urlVariable(name)
        const examples = service.adapters.map(({ example }) => example)
        if (service.boundary === 'bounded') {
          const pin = `${service.adapters[0].engine} ${service.version}`
          const container = containers.get(variable)
          const url = container?.url('127.0.0.1', container.hostPort) ?? examples[0] ?? ''
          return [`# ${name}: a datastore of this app, ${pin}`, assignment(variable, url)]
        }
        // Under fake a URL is refused.
        return [
          `# ${name}: someone else's service; for PORTSIDE_EXTERNALS=real`,
          ...examples.map((example) => `# ${assignment(variable, example)}`),
        ]
      }),
    ]
  },
}

export const exportFormats: Readonly<Record<string, ExportFormat>> = {
  compose,
  github,
  gitlab,
  terraform,
  dockerfile,
  env,
}

function containersOf(services: Services): readonly Container[] {
  return pinnedServices(services).flatMap(({ container }) => (container === undefined ? [] : [container]))
}

/** The lines of each; a comment for one whose engine has no known image. */
function perService(
  services: Services,
  lines: (container: Container) => readonly string[],
): readonly string[] {
  return pinnedServices(services).flatMap((pinned) =>
    pinned.container === undefined ? [unknownImage(pinned)] : lines(pinned.container),
  )
}

function unknownImage({ name, engine, version }: Pinned): string {
  return `# ${name}: no official image of ${engine} ${version} is known; add your own`
}

function environmentOf(
  containers: readonly Container[],
  at: (container: Container) => readonly [host: string, port: number],
): Readonly<Record<string, string>> {
  const urls = containers.map((container) => [container.variable, container.url(...at(container))])
  return { ...Object.fromEntries(urls), PORTSIDE_EXTERNALS: 'fake' }
}

function mapping(key: string, values: Readonly<Record<string, string>>, indent: string): readonly string[] {
  const lines = Object.entries(values).map(([name, value]) => `${indent}  ${name}: ${quoted(value)}`)
  return lines.length === 0 ? [] : [`${indent}${key}:`, ...lines]
}

function variable(name: string, description: string, value: string): readonly string[] {
  return [
    `variable "${name}" {`,
    `  description = ${quoted(description)}`,
    '  type        = string',
    `  default     = ${quoted(value)}`,
    '}',
  ]
}

/** A string of JSON is one of YAML and HCL, too, as long as it holds no `${`, which no pin or name does. */
function quoted(text: string): string {
  return JSON.stringify(text)
}

/** For a shell as well as for those that only look like one; they agree on single quotes with none inside. */
function assignment(name: string, url: string): string {
  return `${name}=${/^[\w./:@%+=,?-]*$/.test(url) ? url : `'${url.replaceAll("'", '%27')}'`}`
}

function snake(name: string): string {
  return name.replaceAll('-', '_')
}
