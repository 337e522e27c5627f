/** The official images of the engines that can be pinned, as files for other tools name and set them up. */
import { type AnyService, type Services, urlVariable } from '../../services/declare.ts'

/** For servers on loopback and in CI alone; a person and a program may know it. */
const password = 'development'

/** A container of one bounded service. */
export interface Container {
  /** `ticketPrinter` → `ticket-printer`, as hosts are named. */
  readonly name: string
  readonly variable: string
  readonly engine: string
  readonly version: string
  readonly image: string
  readonly environment: Readonly<Record<string, string>>
  /** Inside the container. */
  readonly port: number
  /** On the host: the engine's own for the first service, the next ones for the others. */
  readonly hostPort: number
  readonly dataFolder: string
  /** A shell command that succeeds when the server answers. */
  readonly health: string
  /** The service's URL where the server is at `host:port`. */
  url(host: string, port: number): string
}

type Recipe = (
  name: string,
  version: string,
) => Omit<Container, 'name' | 'variable' | 'engine' | 'version' | 'hostPort'>

const recipes: Readonly<Record<string, Recipe>> = {
  postgresql(name, version) {
    const account = name.replaceAll('-', '_')
    const major = Number(version.split('.')[0])
    // As the servers of `portside up` and of tests are made: text in the order of its bytes on every machine.
    const locale =
      major < 17 ? '--locale=C.UTF-8' : '--locale=C --locale-provider=builtin --builtin-locale=C.UTF-8'
    return {
      image: `postgres:${version}`,
      environment: {
        POSTGRES_USER: account,
        POSTGRES_PASSWORD: password,
        POSTGRES_DB: account,
        POSTGRES_INITDB_ARGS: `--encoding=UTF8 --data-checksums ${locale}`,
        TZ: 'UTC',
      },
      port: 5_432,
      dataFolder: major < 18 ? '/var/lib/postgresql/data' : '/var/lib/postgresql',
      health: `pg_isready -h 127.0.0.1 -U ${account} -d ${account}`,
      url: (host, port) => `postgres://${account}:${password}@${host}:${port}/${account}${tls(host)}`,
    }
  },
  redis: (_, version) => keyValue(`redis:${version}`, 'redis-cli'),
  valkey: (_, version) => keyValue(`valkey/valkey:${version}`, 'valkey-cli'),
}

/** Only on this machine does a URL mean no TLS by itself; between containers the images offer none. */
function tls(host: string): string {
  return host === '127.0.0.1' ? '' : '?sslmode=disable'
}

function keyValue(image: string, client: string): ReturnType<Recipe> {
  return {
    image,
    environment: {},
    port: 6_379,
    dataFolder: '/data',
    health: `${client} ping`,
    url: (host, port) => `redis://${host}:${port}/0`,
  }
}

/** What is declared of a bounded service. */
export interface Pinned {
  readonly service: string
  /** As hosts are named. */
  readonly name: string
  readonly engine: string
  readonly version: string
  /** `undefined` where no official image of the engine is known. */
  readonly container: Container | undefined
}

/** The bounded services, in the order of the declaration. */
export function pinnedServices(services: Services): readonly Pinned[] {
  const taken = new Map<number, number>()
  return Object.entries<AnyService>(services).flatMap(([service, declared]): Pinned[] => {
    if (declared.boundary !== 'bounded') return []
    const { version } = declared
    const { engine } = declared.adapters[0]
    const variable = urlVariable(service)
    const name = variable.slice(0, -'_URL'.length).toLowerCase().replaceAll('_', '-')
    const recipe = Object.hasOwn(recipes, engine) ? recipes[engine]?.(name, version) : undefined
    if (recipe === undefined) return [{ service, name, engine, version, container: undefined }]
    const before = taken.get(recipe.port) ?? 0
    taken.set(recipe.port, before + 1)
    const container = { ...recipe, name, variable, engine, version, hostPort: recipe.port + before }
    return [{ service, name, engine, version, container }]
  })
}
