import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { UserInfo } from '../auth/auth.ts'
import type { HttpFrontOptions } from './http-front.ts'

export async function handleUpgrade(
  options: HttpFrontOptions,
  identify: (signal: AbortSignal) => Promise<UserInfo>,
  upgrade: { readonly request: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
): Promise<void> {
  void options; void identify
  upgrade.socket.destroy()
}
