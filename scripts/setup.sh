# Sourced by ./k3s, ./test and others: everything they need that the machine may lack. Each step says in one line what it does, and nothing when there is nothing to do.
# Sets PATH so that Node 24, pnpm and the workspace's tools are found. ROOT must be the repository.

NODE_VERSION=24.21.0
PNPM_VERSION=12.21.0
SERVER_PACKAGES="containerd runc containernetworking-plugins nftables iproute2 conntrack socat busybox-static"
TEST_PACKAGES="postgresql mariadb-server etcd-server etcd-client strace ca-certificates util-linux procps openssl curl"

say() { printf 'k3s: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# Runs a command quietly; its output is shown only when it fails.
quietly() {
  local log; log=$(mktemp)
  if ! "$@" >"$log" 2>&1 </dev/null; then cat "$log" >&2; rm -f "$log"; return 1; fi
  rm -f "$log"
}

# Node and pnpm from the npm registry: the machine's own Node may be older.
setup_tools() {
  local arch stamp="$ROOT/.tools/stamp" want
  case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) arch=x64 ;;
    Linux-aarch64) arch=arm64 ;;
    *) die "Cannot run on $(uname -s) $(uname -m): Linux on x86-64 or arm64 is needed" ;;
  esac
  want="node-linux-$arch@$NODE_VERSION pnpm@$PNPM_VERSION"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    command -v npm >/dev/null || die "Cannot get Node $NODE_VERSION: npm is missing; install it (Debian, Ubuntu: apt-get install npm) and try again"
    say "Getting Node $NODE_VERSION and pnpm $PNPM_VERSION from the npm registry"
    mkdir -p "$ROOT/.tools"
    # shellcheck disable=SC2086 -- two packages, one command: a second install would remove the first
    quietly npm install --prefix "$ROOT/.tools" --no-save --no-audit --no-fund --loglevel=error $want || die "Cannot install $want with npm"
    printf '%s' "$want" >"$stamp"
  fi
  PATH="$ROOT/node_modules/.bin:$ROOT/.tools/node_modules/.bin:$PATH"
  export PATH
}

setup_workspace() {
  local stamp="$ROOT/.tools/lock-stamp"
  if ! cmp -s "$ROOT/pnpm-lock.yaml" "$stamp" || [ ! -d "$ROOT/node_modules/.pnpm" ]; then
    say "Installing the workspace's packages"
    (cd "$ROOT" && quietly pnpm install --frozen-lockfile --reporter=append-only) || die "Cannot install the workspace's packages with pnpm"
    cp "$ROOT/pnpm-lock.yaml" "$stamp"
  fi
  if [ ! -s "$ROOT/packages/api/src/generated/descriptions.json" ] && [ -f "$ROOT/packages/api/scripts/generate-descriptions.ts" ]; then
    (cd "$ROOT" && quietly node --conditions=@k3s/source packages/api/scripts/generate-descriptions.ts "$ROOT/packages/api/node_modules/@kubernetes/client-node") || say "Field descriptions could not be made; kubectl explain will show none"
  fi
}

# One file and its chunks, made anew when a source changed, in a folder of its own: a program that runs keeps finding its chunks.
# Sets BUNDLE to that folder.
setup_bundle() {
  local sum builds="$ROOT/apps/k3s/build"
  sum=$(cd "$ROOT" && find packages/*/src packages/*/package.json apps/k3s/src scripts/bundle.ts pnpm-lock.yaml ! -name '*.test.ts' -type f -printf '%P %s %T@\n' 2>/dev/null | cksum | tr ' ' -)
  BUNDLE="$builds/$sum"
  [ -f "$BUNDLE/main.js" ] && return
  say "Bundling the program"
  rm -rf "$BUNDLE" "$BUNDLE.tmp"
  (cd "$ROOT" && quietly node --conditions=@k3s/source scripts/bundle.ts "$BUNDLE.tmp") || die "Cannot bundle the program"
  mv "$BUNDLE.tmp" "$BUNDLE"
  # Programs that started from an older one may still run; ten are enough for any of them.
  (cd "$builds" && ls -dt [0-9]*-[0-9]*/ 2>/dev/null | tail -n +11 | xargs -r rm -rf)
}

# setup_apt PACKAGE...: installs those that are missing.
setup_apt() {
  local missing="" package
  for package in "$@"; do
    case $package in
      containernetworking-plugins) [ -x /usr/lib/cni/bridge ] || [ -x /opt/cni/bin/bridge ] || missing="$missing $package" ;;
      nftables) command -v nft >/dev/null || missing="$missing $package" ;;
      iproute2) command -v ip >/dev/null || missing="$missing $package" ;;
      busybox-static) [ -x /bin/busybox ] || missing="$missing $package" ;;
      postgresql) ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing="$missing $package" ;;
      mariadb-server) command -v mariadbd >/dev/null || missing="$missing $package" ;;
      etcd-server) command -v etcd >/dev/null || missing="$missing $package" ;;
      etcd-client) command -v etcdctl >/dev/null || missing="$missing $package" ;;
      ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing $package" ;;
      util-linux) command -v unshare >/dev/null || missing="$missing $package" ;;
      procps) command -v sysctl >/dev/null || missing="$missing $package" ;;
      *) command -v "$package" >/dev/null || missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || die "Cannot go on: these are missing and this is no Debian or Ubuntu, so install their counterparts yourself:$missing"
  [ "$(id -u)" = 0 ] || die "Cannot install$missing: run as root, or install them yourself (apt-get install$missing)"
  say "Installing with apt:$missing"
  # shellcheck disable=SC2086 -- a list of words
  { quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing 2>/dev/null ||
    { quietly apt-get update && quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; }; } ||
    die "Cannot install with apt:$missing"
}

# One at a time: two programs started together must not set up the same things.
with_setup_lock() {
  mkdir -p "$ROOT/.tools"
  exec 9>"$ROOT/.tools/lock"
  command -v flock >/dev/null && flock 9
  "$@"
  exec 9>&-
}
