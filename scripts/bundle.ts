/** Bundles the program, or another file with `bundle.ts FOLDER FILE`, into the given folder: main.js, its lazy chunks, the workers for SQLite and YAML, and the SQLite addon. */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const [outdir, main = join(root, 'apps/k3s/src/main.ts')] = process.argv.slice(2)
if (outdir === undefined) throw new Error('Usage: bundle.ts FOLDER [FILE]')
const datastore = createRequire(join(root, 'packages/datastore/package.json'))

mkdirSync(outdir, { recursive: true })
await build({
  entryPoints: {
    main,
    'sqlite-worker': join(root, 'packages/datastore/src/drivers/sqlite-worker.ts'),
    'yaml-worker': join(root, 'packages/apiserver/src/http/yaml-worker.ts'),
  },
  outdir,
  bundle: true,
  splitting: true,
  // Names stay as they are. To keep those of functions that were renamed takes a call wherever a closure is made: a tenth of a write's time.
  minifySyntax: true,
  minifyWhitespace: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  conditions: ['@k3s/source', 'module'],
  mainFields: ['module', 'main'],
  external: ['pg-native'],
  define: { 'process.env.K3S_BUNDLED': '"true"' },
  logLevel: 'warning',
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';import{dirname as __dirnameOf}from'node:path';const require=__createRequire(import.meta.url),__filename=import.meta.filename,__dirname=import.meta.dirname;",
  },
})
const addon = join(dirname(datastore.resolve('better-sqlite3/package.json')), 'prebuilds', `linux-${process.arch}.node`)
copyFileSync(addon, join(outdir, 'better_sqlite3.node'))
const descriptions = join(root, 'packages/api/src/generated/descriptions.json')
if (existsSync(descriptions)) copyFileSync(descriptions, join(outdir, 'descriptions.json'))
