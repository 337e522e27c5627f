/** Redis, and Valkey, in a container of the official image. */
import type { ContainerRecipe } from '../../src/servers/docker.ts'
import type { ServerPlace } from '../../src/servers/engine.ts'

const configurationFile = '/etc/portside.conf'

/**
 * @param image without its tag
 * @param configuration lines that are the same wherever the server runs
 */
export function redisContainer(
  image: string,
  configuration: (place: ServerPlace) => readonly string[],
): ContainerRecipe {
  return {
    image: (pin) => `${image}:${pin}`,
    port: 6379,
    dataFolder: () => '/data',
    setUp: (place) => ({
      command: [configurationFile],
      files: {
        [configurationFile]: ['bind * -::*', 'port 6379', 'dir /data', ...configuration(place), ''].join(
          '\n',
        ),
      },
    }),
  }
}
