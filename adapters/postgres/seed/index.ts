/** For an app's seed file: `import { defineSeed } from 'portside/adapters/postgres/seed'`. Loads nothing. */
export {
  defineSeed,
  type SeedColumn,
  type SeedDefinition,
  type SeedRow,
  type SeedTable,
  type SeedValue,
} from './define.ts'
