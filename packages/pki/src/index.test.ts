import { expect, it } from 'vitest'

it('exports nothing by accident', async () => {
  expect(Object.keys(await import('@k3s/pki')).toSorted()).toMatchInlineSnapshot(`
    [
      "caHash",
      "createCa",
      "createCertificateRequest",
      "formatToken",
      "generateKey",
      "generatePassword",
      "isSignedBy",
      "issueCertificate",
      "needsRenewal",
      "parseToken",
      "readCertificate",
      "signCertificateRequest",
      "splitPem",
    ]
  `)
})
