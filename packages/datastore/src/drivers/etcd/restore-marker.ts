/** The key that says that a restore was begun and not finished. Its value names what is restored. It begins with a zero byte, as nobody's keys do. */
export const markerKey: Uint8Array = new TextEncoder().encode('\0k3s-datastore/restoring')
