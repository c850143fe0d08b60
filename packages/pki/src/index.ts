export type { CertificateInfo, KeyPair, LeafOptions, Subject } from './certificate.ts'
export {
  createCa,
  createCertificateRequest,
  generateKey,
  isSignedBy,
  issueCertificate,
  needsRenewal,
  readCertificate,
  signCertificateRequest,
  splitPem,
} from './certificate.ts'
export type { JoinToken } from './token.ts'
export { caHash, formatToken, generatePassword, parseToken } from './token.ts'
export { certificateEnd, grantCertificateRequest, isSelfSigned, readCertificateRequest } from './certificate-request.ts'
export type { CertificateRequestInfo, GrantOptions } from './certificate-request.ts'
