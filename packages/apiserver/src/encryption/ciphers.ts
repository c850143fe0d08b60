import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js'

/** Ways to encrypt a stored value, by the names of upstream's providers. */
export type CipherName = 'aescbc' | 'aesgcm' | 'secretbox'

/** A secret key with its way to encrypt. */
export interface ValueCipher {
  readonly name: CipherName
  /** `context` is authenticated where the cipher can: the value's key in the datastore. */
  encrypt(plain: Uint8Array, context: string): Buffer
  /** Throws when the value was not encrypted with this key, or for another context. */
  decrypt(encrypted: Uint8Array, context: string): Buffer
}

const cbcIvBytes = 16
const gcmNonceBytes = 12
const gcmTagBytes = 16
const boxNonceBytes = 24

/** Key lengths in bytes that a cipher takes. */
export const keyLengths: Readonly<Record<CipherName, readonly number[]>> = {
  aescbc: [16, 24, 32],
  aesgcm: [16, 24, 32],
  secretbox: [32],
}

/** A cipher in upstream's byte layout: what one server wrote the other reads. `key` has one of {@link keyLengths}. */
export function valueCipher(name: CipherName, key: Uint8Array): ValueCipher {
  const bits = key.length * 8
  switch (name) {
    case 'aescbc':
      return {
        name,
        // IV, then the value padded as PKCS #7 says.
        encrypt(plain) {
          const iv = randomBytes(cbcIvBytes)
          const cipher = createCipheriv(`aes-${bits}-cbc`, key, iv)
          return Buffer.concat([iv, cipher.update(plain), cipher.final()])
        },
        decrypt(encrypted) {
          const decipher = createDecipheriv(`aes-${bits}-cbc`, key, encrypted.subarray(0, cbcIvBytes))
          return Buffer.concat([decipher.update(encrypted.subarray(cbcIvBytes)), decipher.final()])
        },
      }
    case 'aesgcm': {
      // Names that node's types know.
      const algorithm = `aes-${bits}-gcm` as 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' // by the key lengths
      return {
        name,
        // Nonce, value, tag.
        encrypt(plain, context) {
          const nonce = randomBytes(gcmNonceBytes)
          const cipher = createCipheriv(algorithm, key, nonce)
          cipher.setAAD(Buffer.from(context))
          return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
        },
        decrypt(encrypted, context) {
          if (encrypted.length < gcmNonceBytes + gcmTagBytes) throw new Error('the stored data was shorter than the required size')
          const decipher = createDecipheriv(algorithm, key, encrypted.subarray(0, gcmNonceBytes))
          decipher.setAAD(Buffer.from(context))
          decipher.setAuthTag(encrypted.subarray(encrypted.length - gcmTagBytes))
          return Buffer.concat([decipher.update(encrypted.subarray(gcmNonceBytes, encrypted.length - gcmTagBytes)), decipher.final()])
        },
      }
    }
    case 'secretbox':
      return {
        name,
        // Nonce, tag, value: as NaCl's secretbox.
        encrypt(plain) {
          const nonce = randomBytes(boxNonceBytes)
          return Buffer.concat([nonce, xsalsa20poly1305(key, nonce).encrypt(plain)])
        },
        decrypt(encrypted) {
          if (encrypted.length < boxNonceBytes) throw new Error('the stored data was shorter than the required size')
          return Buffer.from(xsalsa20poly1305(key, encrypted.subarray(0, boxNonceBytes)).decrypt(encrypted.subarray(boxNonceBytes)))
        },
      }
  }
}
