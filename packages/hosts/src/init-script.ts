import type { CgroupLayout } from './cgroups.ts'

/**
 * The shell script that becomes the first process of a host, in fresh namespaces: it mounts what the host has of its own and then
 * waits, reaping orphans, until its standard input ends.
 *
 * @param binds folder of the host by the name of the lab's folder that stands in for it.
 */
export function initScript(options: {
  readonly name: string
  readonly folder: string
  readonly binds: Readonly<Record<string, string>>
  readonly cgroups: CgroupLayout
}): string {
  const { name, folder, binds, cgroups } = options
  const controllers = cgroups.roots.map((root) => root.slice(root.lastIndexOf('/') + 1))
  const mountCgroups =
    cgroups.version === 2
      ? ['mount -t cgroup2 cgroup2 /sys/fs/cgroup']
      : [
          'mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup',
          ...controllers.flatMap((controller) => [
            `mkdir /sys/fs/cgroup/${controller}`,
            `mount -t cgroup -o ${controller === 'systemd' ? 'none,name=systemd' : controller} cgroup /sys/fs/cgroup/${controller}`,
          ]),
        ]
  return [
    'set -e',
    `hostname ${name}`,
    'mount -t proc proc /proc',
    'mount -t sysfs sysfs /sys',
    ...mountCgroups,
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'mkdir -p /run/netns /run/lock',
    'mount -t tmpfs -o mode=1777 tmpfs /dev/shm',
    `mount -t overlay overlay -o lowerdir=/etc,upperdir=${folder}/etc,workdir=${folder}/etc-work /etc`,
    // What the machine itself has there, from a cluster of its own, is not the host's.
    `[ -e ${folder}/booted ] || rm -rf /etc/rancher`,
    `touch ${folder}/booted`,
    ...Object.entries(binds).map(([from, to]) => `mount --bind ${folder}/${from} ${to}`),
    `echo ${name} > /etc/hostname`,
    `printf '127.0.0.1 localhost\\n127.0.1.1 ${name}\\n' > /etc/hosts`,
    // Mounts that pods ask to be shared must come back to the host.
    'mount --make-rshared /',
    `touch ${folder}/ready`,
    // The kernel reaps every orphan of a first process that ignores this signal.
    'exec env --ignore-signal=CHLD cat > /dev/null',
    '',
  ].join('\n')
}
