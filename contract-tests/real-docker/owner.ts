/** A process that owns a server in a container, to be killed: says its URL when it is ready, and waits. */
import { contained as postgres } from '../../adapters/postgres/server.ts'
import { contained as redis } from '../../adapters/redis/server.ts'

const [engine, directory = ''] = process.argv.slice(2)
const [recipe, version] = engine === 'postgres' ? [postgres, '17.10'] : [redis, '7.0']
const server = await recipe.start({ version, directory })
process.stdout.write(`${await server.provision('orders')}\n`)
setInterval(() => {}, 1000)
