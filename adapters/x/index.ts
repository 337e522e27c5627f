/**
 * Posts on X through its API v2: `x://bearer:TOKEN@api.x.com`.
 *
 * The token goes over TLS only. For an emulator there is `x+http://bearer:TOKEN@127.0.0.1:8080`, which is refused
 * for any other host than this machine.
 */
import type { Adapter } from '../../src/adapter.ts'
import { SocialPublisher } from '../../src/ports/social-publisher.ts'
import { isLoopback } from '../../src/services/url.ts'
import { xSocialPublisher } from './social-publisher.ts'

export { classifyXError, XAnswerError, XApiError } from './errors.ts'

/** {@link SocialPublisher} on X. There is no client behind it, so nothing for `native()`. */
export const x: Adapter<SocialPublisher> = {
  name: 'x',
  port: SocialPublisher,
  schemes: ['x', 'x+http'],
  example: 'x://bearer:TOKEN@api.x.com',
  parameters: {},

  validate(url) {
    const problems: string[] = []
    if (url.host === '') problems.push('it needs a host, such as api.x.com')
    if (url.path !== '') problems.push('it has a path; the paths of the API are added to the host')
    if (url.username !== 'bearer' || url.password === undefined) {
      problems.push('it needs the word "bearer" as its user and the token as its password')
    } else if (!/^[\x21-\x7e]{1,4096}$/.test(url.password)) {
      problems.push('its token must be 1 to 4096 printable ASCII characters without spaces')
    }
    if (url.scheme === 'x+http' && !isLoopback(url.host)) {
      problems.push('it has the scheme x+http, which is for emulators on this machine only; use x')
    }
    return problems
  },

  endpoint: ({ scheme, host, port }) => ({ host, port: port ?? (scheme === 'x' ? 443 : 80) }),

  async open(url, { clock }) {
    const { scheme, host, port, password: token = '' } = url
    const bracketed = host.includes(':') ? `[${host}]` : host
    const origin = `${scheme === 'x' ? 'https' : 'http'}://${bracketed}${port === undefined ? '' : `:${port}`}`
    // 443 and 80 are no part of an origin.
    return xSocialPublisher({ token, origin: URL.parse(origin)?.origin ?? origin, clock })
  },
}
