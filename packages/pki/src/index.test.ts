import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/pki')).toSorted()).toMatchInlineSnapshot(`
    [
      "caHash",
      "certificateEnd",
      "createCa",
      "createCertificateRequest",
      "formatToken",
      "generateKey",
      "generatePassword",
      "grantCertificateRequest",
      "isSelfSigned",
      "isSignedBy",
      "issueCertificate",
      "needsRenewal",
      "parseToken",
      "readCertificate",
      "readCertificateRequest",
      "signCertificateRequest",
      "splitPem",
    ]
  `)
})
