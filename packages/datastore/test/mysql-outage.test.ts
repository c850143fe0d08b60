import { startMariadb } from './servers/mariadb.ts'
import { describeOutages } from './sql-outage.ts'

describeOutages('MariaDB', startMariadb)
