import type { VersionInfo } from '../api-server.ts'

const defaultVersion: VersionInfo = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.3+k3s1',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  // Clients read these and expect text; what runs here is no Go.
  goVersion: `node${process.versions.node}`,
  compiler: 'v8',
  platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
}

/** What `/version` answers. */
export function versionOf(version: Partial<VersionInfo> | undefined): object {
  return {
    ...defaultVersion,
    emulationMajor: '1',
    emulationMinor: '36',
    minCompatibilityMajor: '1',
    minCompatibilityMinor: '35',
    ...version,
  }
}
