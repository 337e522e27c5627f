/** PostgreSQL in a container of the official image, set up like the server that runs without one. */
import type { ContainerRecipe } from '../../src/servers/docker.ts'

const passwordFile = '/etc/portside-password'

/** @param admin the superuser, whose password is the one of that name in the server's folder */
export function postgresContainer(admin: string): ContainerRecipe {
  return {
    image: (pin) => `postgres:${pin}`,
    port: 5432,
    // From 18 on the image keeps each major version in a folder of its own, below the one it declares.
    dataFolder: (pin) => (majorOf(pin) < 18 ? '/var/lib/postgresql/data' : '/var/lib/postgresql'),
    setUp: ({ folder, durable, programs }) => ({
      command: ['postgres', ...asArguments(commonSettings(durable))],
      env: {
        POSTGRES_USER: admin,
        POSTGRES_PASSWORD_FILE: passwordFile,
        POSTGRES_INITDB_ARGS: initialise(programs.version, durable).join(' '),
        POSTGRES_HOST_AUTH_METHOD: 'scram-sha-256',
      },
      files: { [passwordFile]: `${folder.password(admin)}\n` },
    }),
  }
}

/** Settings of every server for development and test, wherever it runs. */
export function commonSettings(durable: boolean): Readonly<Record<string, string>> {
  const onDisk = durable ? 'on' : 'off'
  return {
    timezone: 'UTC',
    log_timezone: 'UTC',
    max_connections: '200',
    ...{ fsync: onDisk, synchronous_commit: onDisk, full_page_writes: onDisk },
  }
}

export function asArguments(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** UTF-8 and text in the order of its bytes; before 17 by the C library of the image, which has it in `C.UTF-8`. */
function initialise(pin: string, durable: boolean): string[] {
  const locale =
    majorOf(pin) < 17
      ? ['--locale=C.UTF-8']
      : ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  return [
    ...['--encoding=UTF8', '--data-checksums', ...locale],
    ...['--auth-host=scram-sha-256', '--auth-local=scram-sha-256', '--no-instructions'],
    ...(durable ? [] : ['--no-sync']),
  ]
}

function majorOf(pin: string): number {
  return Number(pin.split('.')[0])
}
