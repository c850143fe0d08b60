import { startMariadb } from './servers/mariadb.ts'
import { describeSeveralServers } from './sql-servers.ts'

// As on a node of Galera: numbers that the database gives have gaps.
describeSeveralServers('MariaDB', () => startMariadb({ autoIncrementIncrement: 2 }))
