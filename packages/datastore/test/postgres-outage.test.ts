import { startPostgres } from './servers/postgres.ts'
import { describeOutages } from './sql-outage.ts'

describeOutages('PostgreSQL', startPostgres)
