import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AllowedHosts, hostAndPort, isLocalhost, isLoopbackAddress } from './egress-hosts.ts'

describe('loopback', () => {
  test('is every address of 127.0.0.0/8, plain or mapped into IPv6', () => {
    fc.assert(
      fc.property(fc.nat(255), fc.nat(255), fc.nat(255), (a, b, c) => {
        expect(isLoopbackAddress(`127.${a}.${b}.${c}`)).toBe(true)
        expect(isLoopbackAddress(`::ffff:127.${a}.${b}.${c}`)).toBe(true)
      }),
    )
  })

  test.for(['::1', '0:0:0:0:0:0:0:1', '::1%lo', '::ffff:7f00:1'])('is %s', (host) => {
    expect(isLoopbackAddress(host)).toBe(true)
  })

  test('is no other address', () => {
    fc.assert(
      fc.property(
        fc.ipV4().filter((each) => !each.startsWith('127.')),
        fc.ipV6(),
        (v4, v6) => {
          expect(isLoopbackAddress(v4)).toBe(false)
          expect(isLoopbackAddress(`::ffff:${v4}`)).toBe(false)
          fc.pre(!/^[0:]+(1|ffff:(127\..*|7f.*))$/i.test(v6))
          expect(isLoopbackAddress(v6)).toBe(false)
        },
      ),
    )
  })

  // What a system makes of these is its own affair; a resolver's, for most.
  test.for(['0.0.0.0', '::', '2130706433', '0x7f.1', '127.1', 'localhost', 'localhost.invalid', ''])(
    'is not %s',
    (host) => expect(isLoopbackAddress(host)).toBe(false),
  )

  test('has one name', () => {
    expect(['localhost', 'LocalHost', 'localhost.'].map(isLocalhost)).toEqual([true, true, true])
    expect(['bucket.localhost', 'localhost.invalid', 'localhosts', ''].map(isLocalhost)).not.toContain(true)
  })
})

describe('allowed hosts', () => {
  const allowed = (...entries: (string | URL)[]): AllowedHosts => {
    const hosts = new AllowedHosts()
    for (const entry of entries) hosts.add(entry)
    return hosts
  }

  test('a host without a port is allowed on all of them, one with a port on that alone', () => {
    const hosts = allowed('db.internal:5432', 'cache.internal')
    expect(hosts.has('db.internal', 5432)).toBe(true)
    expect(hosts.has('db.internal', 5433)).toBe(false)
    expect(hosts.has('cache.internal', 1)).toBe(true)
    expect(hosts.has('internal', 5432)).toBe(false)
    expect(hosts.has('x.cache.internal', 1)).toBe(false)
  })

  test('ports add up, whichever way they come', () => {
    expect([1, 2, 3].map((port) => allowed('h:1', 'h:2').has('h', port))).toEqual([true, true, false])
    expect(allowed('h:1', 'h').has('h', 3)).toBe(true)
    expect(allowed('h', 'h:1').has('h', 3)).toBe(true)
  })

  test('a host is the same in any spelling', () => {
    const hosts = allowed('DB.Internal.:1', '[2001:DB8:0::1]:2', '2001:db8::2')
    expect(hosts.has('db.internal', 1)).toBe(true)
    expect(hosts.has('db.internal.', 1)).toBe(true)
    expect(hosts.has('2001:db8::1', 2)).toBe(true)
    expect(hosts.has('2001:0db8:0:0:0:0:0:0002', 9)).toBe(true)
  })

  test('a URL allows its host and port', () => {
    const hosts = allowed(
      'postgres://app:s3cret@db.internal:5432/orders?x=1',
      new URL('https://api.internal/v1'),
    )
    expect(hosts.has('db.internal', 5432)).toBe(true)
    expect(hosts.has('api.internal', 443)).toBe(true)
    expect(hosts.has('api.internal', 80)).toBe(false)
  })

  test('what an allowed name resolves to is allowed on the ports of the name', () => {
    const hosts = allowed('mail.internal:25')
    hosts.learn('mail.internal', ['192.0.2.7'])
    hosts.learn('other.internal', ['192.0.2.8'])
    expect(hosts.has('192.0.2.7', 25)).toBe(true)
    expect(hosts.has('192.0.2.7', 26)).toBe(false)
    expect(hosts.has('192.0.2.8', 25)).toBe(false)
  })

  test('an entry that is no host is refused without being shown', () => {
    const bad = [
      '',
      '*',
      '*.internal',
      'a b',
      'host:port',
      'host:99999',
      'me:s3cret@host',
      'host/path',
      'x://',
      7,
      null,
    ]
    for (const entry of bad) {
      expect(() => allowed(entry as string), String(entry)).toThrow(
        expect.objectContaining({ code: 'invalid-argument', message: expect.not.stringContaining('s3cret') }),
      )
    }
  })

  test('is shown as it is to be written', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
        fc.integer({ min: 1, max: 65_535 }),
        (host, port) => {
          expect(allowed(hostAndPort(host, port)).has(host, port)).toBe(true)
          expect(allowed(hostAndPort(host, undefined)).has(host, port)).toBe(true)
        },
      ),
    )
  })
})
