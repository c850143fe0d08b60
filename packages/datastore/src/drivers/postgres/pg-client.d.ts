/** pg's client alone: the pool beside it in `pg` is not used, and its optional native binding is not looked for. */
declare module 'pg/lib/client.js' {
  import { Client } from 'pg'
  export default Client
}
