/** What a URL that does not say otherwise means. */
export const defaultPort = 6_379
export const defaultConnectTimeoutMs = 5_000
export const defaultSilenceTimeoutMs = 15_000
