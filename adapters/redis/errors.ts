/**
 * What errors of Redis and of ioredis mean. Pure. A reply of the server is a refusal: nothing was applied. An error
 * of the client may mean a lost answer; whether the command was ever written is known to `connection.ts` alone.
 */
import type { Classification } from '../../src/adapter.ts'

type Meaning = Omit<Classification, 'message'> & { readonly message: string }

const connectionHelp = 'check that the server runs and that the URL names its host and port'

/** The first word of a server's error reply: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const replies: Readonly<Record<string, Meaning>> = {
  NOAUTH: { code: 'unauthenticated', message: 'the server asks for a password and the URL holds none' },
  WRONGPASS: { code: 'unauthenticated', message: 'the server refused the user name or password' },
  NOPERM: { code: 'permission-denied', message: "the server's ACL does not let this user do that" },
  DENIED: {
    code: 'permission-denied',
    message: 'the server runs in protected mode and takes no connection from this machine',
  },
  WRONGTYPE: {
    code: 'precondition-failed',
    message: 'the key holds no plain value (a list, a hash or the like, written by another program)',
  },
  OOM: {
    code: 'quota-exceeded',
    message: "the server's memory is full (maxmemory); delete something or give it more",
  },
  READONLY: {
    code: 'unavailable',
    message: 'the server is a read-only replica, as in the midst of a failover; try again later',
  },
  LOADING: { code: 'unavailable', message: 'the server is still loading its data; try again later' },
  BUSY: {
    code: 'unavailable',
    message: 'the server is busy with a script that does not end; try again later',
  },
  MASTERDOWN: { code: 'unavailable', message: 'the replica has lost its primary; try again later' },
  NOREPLICAS: {
    code: 'unavailable',
    message: 'too few replicas are connected to take a write; try again later',
  },
  MISCONF: { code: 'unavailable', message: 'the server takes no writes, since it cannot save to disk' },
  CLUSTERDOWN: {
    code: 'unavailable',
    message: 'the cluster is down or a slot is served by no node; try again later',
  },
  MOVED: { code: 'unavailable', message: 'the slots of the cluster are moving; try again later' },
  ASK: { code: 'unavailable', message: 'the slots of the cluster are moving; try again later' },
  TRYAGAIN: { code: 'unavailable', message: 'the slots of the cluster are moving; try again later' },
  CROSSSLOT: {
    code: 'unsupported',
    message: 'the keys of one command are in different slots of the cluster',
  },
  NOPROTO: { code: 'unsupported', message: 'the server does not speak this version of the protocol' },
  NOSCRIPT: { code: 'unavailable', message: 'the server lost a script; try again' },
}

/** Replies whose first word is the general `ERR`, by what they say. */
const generalReplies: readonly (readonly [RegExp, Meaning])[] = [
  [
    /value is not an integer or out of range/,
    { code: 'precondition-failed', message: 'the value is no whole number, so nothing can be added to it' },
  ],
  [
    /increment or decrement would overflow/,
    { code: 'precondition-failed', message: 'the sum is beyond what a number can hold' },
  ],
  [
    /max number of clients reached/,
    {
      code: 'unavailable',
      message: 'the server has as many clients as it takes (maxclients); try again later',
    },
  ],
  [
    /invalid (username-password pair|password)|called without any password|wrong number of arguments for 'auth'/i,
    { code: 'unauthenticated', message: 'the server refused the user name or password' },
  ],
  [
    /invalid DB index|DB index is out of range|SELECT is not allowed in cluster mode/i,
    {
      code: 'invalid-argument',
      message: 'the server has no database of that number; a cluster has number 0 alone',
    },
  ],
  [
    /unknown command|unknown subcommand/i,
    { code: 'unsupported', message: 'the server is too old: it does not know a command that is needed' },
  ],
  [
    /cluster support disabled/i,
    { code: 'unsupported', message: 'the server is no cluster; take cluster=true out of the URL' },
  ],
  [/invalid expire time/i, { code: 'invalid-argument', message: 'the server refused the expiry time' }],
]

/** Errors of the operating system and of TLS, by `code`. */
const systemCodes: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: {
    code: 'unavailable',
    outcome: 'not-applied',
    message: `nothing listens there; ${connectionHelp}`,
  },
  ENOTFOUND: {
    code: 'unavailable',
    outcome: 'not-applied',
    message: `the host is not known; ${connectionHelp}`,
  },
  EAI_AGAIN: {
    code: 'unavailable',
    outcome: 'not-applied',
    message: `the host's name could not be looked up; ${connectionHelp}`,
  },
  EHOSTUNREACH: {
    code: 'unavailable',
    outcome: 'not-applied',
    message: `there is no way to the host; ${connectionHelp}`,
  },
  ENETUNREACH: {
    code: 'unavailable',
    outcome: 'not-applied',
    message: `there is no way to the host; ${connectionHelp}`,
  },
  ECONNRESET: { code: 'unavailable', outcome: 'unknown', message: 'the server closed the connection' },
  EPIPE: { code: 'unavailable', outcome: 'unknown', message: 'the server closed the connection' },
  ETIMEDOUT: {
    code: 'unavailable',
    outcome: 'unknown',
    message: `the server does not answer; ${connectionHelp}`,
  },
  CERT_HAS_EXPIRED: {
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: false,
    message: "the server's certificate has expired",
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted(),
  SELF_SIGNED_CERT_IN_CHAIN: untrusted(),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted(),
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted(),
  ERR_TLS_CERT_ALTNAME_INVALID: {
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: false,
    message: "the server's certificate is for another host than the URL names",
  },
  ERR_SSL_WRONG_VERSION_NUMBER: {
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: false,
    message: 'the server does not speak TLS on that port; for a plain connection use redis://',
  },
}

function untrusted(): Meaning {
  return {
    code: 'unavailable',
    outcome: 'not-applied',
    retryable: false,
    message: "the server's certificate is signed by no one trusted; name its authority with caFile",
  }
}

/** Errors that ioredis makes itself have no code, only these texts. */
const clientErrors: readonly (readonly [RegExp, Meaning])[] = [
  [
    /max retries per request|^Connection is closed|aborted due to connection close/i,
    { code: 'unavailable', outcome: 'unknown', message: 'the connection was lost before the answer came' },
  ],
  [
    /^Socket timeout/,
    {
      code: 'unavailable',
      outcome: 'unknown',
      message: 'the server fell silent, and the connection was given up',
    },
  ],
  [
    /^Command timed out/,
    { code: 'timeout', outcome: 'unknown', message: 'the server did not answer in time' },
  ],
  [
    /enableOfflineQueue options is false|None of startup nodes|Node is disconnected|refresh slots cache|Cluster is (ended|disconnect)/i,
    { code: 'unavailable', outcome: 'not-applied', message: `there is no connection; ${connectionHelp}` },
  ],
  [
    /Too many Cluster redirections/i,
    {
      code: 'unavailable',
      outcome: 'not-applied',
      message: 'the slots of the cluster are moving; try again later',
    },
  ],
]

/** What an error means, or `undefined` where it is not known. */
export function classifyRedisError(error: unknown): Classification | undefined {
  if (!(error instanceof Error)) return undefined
  if (error.name === 'ReplyError') return classifyReply(error.message)
  const system = 'code' in error ? systemCodes[String(error.code)] : undefined
  if (system !== undefined) return system
  // A cluster that cannot be reached tells why only here, where it does.
  const inner = 'lastNodeError' in error ? classifyRedisError(error.lastNodeError) : undefined
  if (inner !== undefined && inner.outcome !== 'unknown') return inner
  return clientErrors.find(([pattern]) => pattern.test(error.message))?.[1] ?? ofMany(error)
}

/** Node tries each address of a host; where all fail, the first says why. */
function ofMany(error: Error): Classification | undefined {
  return error instanceof AggregateError ? classifyRedisError(error.errors[0]) : undefined
}

function classifyReply(text: string): Classification {
  // Before 7.0 an error inside a script stands behind "ERR Error running script (…): @user_script:1: ".
  const scripted = /@user_script:\s?\d+:\s?(?:-?)([A-Z]{2,}) /.exec(text)?.[1]
  const words = [/^-?([A-Z]+)\b/.exec(text)?.[1], scripted]
  for (const word of words) {
    const meaning = word === undefined ? undefined : replies[word]
    if (meaning !== undefined) return { outcome: 'not-applied', ...meaning }
  }
  const meaning = generalReplies.find(([pattern]) => pattern.test(text))?.[1]
  if (meaning !== undefined) return { outcome: 'not-applied', ...meaning }
  // The server's text may repeat an argument, and so a value.
  return {
    code: 'internal',
    outcome: 'not-applied',
    message: `the server refused the command (${/^[A-Z]+/.exec(text)?.[0] ?? 'no code'})`,
  }
}
