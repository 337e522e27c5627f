/** The control API's own description, made of the table that its router reads. */
import { portErrorCodes } from '../../../src/errors.ts'
import type { Route } from './routes.ts'
import { object, type Schema, text } from './schema.ts'

/** How a refusal is told: RFC 9457, with the code of a `PortError`. */
export const problemSchema: Schema = object({
  type: text(),
  title: text(),
  status: { type: 'integer' },
  detail: text(),
  code: text(undefined, { enum: portErrorCodes }),
})

/** OpenAPI 3.1. */
export function openApi(routes: readonly Route[], origin: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'portside emulate: control API',
      version: '1',
      description:
        "Controls the emulators of one `portside emulate`: state, journal, faults, forced answers, clock, reset, seed, snapshots. JSON in and out; for programs on this machine only, and not for browsers' pages.",
    },
    servers: [{ url: origin }],
    paths,
    components: { schemas: { Problem: problemSchema } },
  }
}

function operationOf({ id, summary, path, query = {}, body, answer }: Route): object {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const inQuery = Object.entries(query).map(([name, schema]) => ({
    name,
    in: 'query',
    required: false,
    schema,
  }))
  const parameters = [...inPath, ...inQuery]
  return {
    operationId: id,
    summary,
    ...(parameters.length > 0 && { parameters }),
    ...(body && { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
    responses: {
      ...(answer === undefined
        ? { 204: { description: 'Done' } }
        : { 200: { description: 'The answer', content: { 'application/json': { schema: answer } } } }),
      default: {
        description: 'Refused',
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
}
