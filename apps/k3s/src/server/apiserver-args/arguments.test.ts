import { describe, expect, it } from 'vitest'
import { parseApiServerArgs } from './arguments.ts'

describe('--kube-apiserver-arg', () => {
  it('is what kube-apiserver takes when it is not said', () => {
    const args = parseApiServerArgs([])
    expect(args).toMatchObject({
      authentication: { anonymous: undefined, oidc: undefined, webhook: { cacheTtlMs: 120_000, version: 'v1beta1' } },
      authorization: { authorizers: ['Node', 'RBAC'] },
      serviceAccounts: { issuers: [], audiences: [], maxExpirationSeconds: undefined, extendsExpiration: true },
      admission: { enabled: [], disabled: [], tolerationSeconds: { notReady: 300, unreachable: 300 } },
      audit: { log: { format: 'json' }, webhook: { mode: 'batch', batches: { bufferSize: 10_000, maxSize: 400, maxWaitMs: 30_000 } } },
      inFlight: { maxReads: 400, maxWrites: 200 },
      isFair: true,
      requestTimeoutMs: 60_000,
      minWatchTimeoutMs: 1_800_000,
      eventTtlSeconds: 3600,
      servesDebugPaths: false,
      isVerbose: false,
    })
  })

  it('is read, the last of a name, and all of a list', () => {
    const args = parseApiServerArgs([
      'audit-log-path=/a',
      '--audit-log-path=/b=c',
      'event-ttl=1h30m',
      'anonymous-auth=false',
      'profiling',
      'service-account-issuer=https://a',
      'service-account-issuer=https://b',
      'oidc-issuer-url=https://i',
      'oidc-client-id=c',
      'oidc-required-claim=hd=example.com',
      'oidc-signing-algs+=ES256',
      'audit-webhook-batch-throttle-enable=false',
      'feature-gates=WatchList=true,InPlacePodVerticalScaling=true',
      'runtime-config=api/beta=false,apps/v1=true',
      'v=4',
    ])
    expect(args).toMatchObject({
      audit: { log: { path: '/b=c' }, webhook: { batches: { throttle: undefined } } },
      eventTtlSeconds: 5400,
      servesDebugPaths: true,
      isVerbose: true,
      authentication: {
        anonymous: false,
        oidc: { issuerUrl: 'https://i', requiredClaims: { hd: 'example.com' }, signingAlgorithms: ['RS256', 'ES256'] },
      },
      serviceAccounts: { issuers: ['https://a', 'https://b'] },
    })
  })

  it.each([
    ['no-such=1', 'there is no argument "no-such"'],
    ['anonymous-auth=maybe', 'anonymous-auth: true or false is needed'],
    ['audit-log-maxage=soon', 'Cannot use "soon" for --kube-apiserver-arg=audit-log-maxage: a whole number is needed'],
    ['request-timeout=5', 'a duration such as 90s or 1m30s is needed'],
    ['request-timeout=0s', 'at least 0.001s is needed'],
    ['goaway-chance=0.5', 'a number from 0 to 0.02 is needed'],
    ['min-request-timeout=0', 'a whole number from 1 to'],
    ['audit-log-format=xml', 'json or legacy is needed'],
    ['audit-webhook-batch-max-size=20000', 'the buffer takes 10000'],
    ['authentication-token-webhook-version=v2', 'v1 or v1beta1 is needed'],
    ['oidc-issuer-url=https://i', 'oidc-issuer-url and oidc-client-id are needed together'],
    ['service-account-issuer=a,a', 'it is there twice'],
    ['service-account-max-token-expiration=10m', '3600s to 4294967296s is needed'],
    ['enable-admission-plugins=Nothing', 'there is no such plugin; besides those that are on'],
    ['disable-admission-plugins=Nothing', 'there is no such plugin'],
    ['authorization-mode=ABAC', 'AlwaysAllow, AlwaysDeny, Node, RBAC and Webhook can be used'],
    ['authorization-mode=RBAC,RBAC', 'it is there twice'],
    ['authorization-mode=', 'at least one is needed'],
    ['authorization-mode=Webhook', 'it needs authorization-webhook-config-file'],
    ['authorization-webhook-config-file=/a', 'it needs the authorization-mode Webhook'],
    ['audit-webhook-mode=later', 'batch or blocking or blocking-strict is needed'],
    ['feature-gates=NoSuchGate=true', 'there is no feature gate "NoSuchGate"'],
    ['feature-gates=WatchList=false', 'the feature is always on here'],
    ['runtime-config=api/all=true', 'what is served cannot be changed'],
    ['runtime-config=resource.k8s.io/v1beta1=true', 'what is served cannot be changed'],
    ['runtime-config=apps/v1=false', 'what is served cannot be changed'],
  ])('refuses %s', (arg, message) => {
    expect(() => parseApiServerArgs([arg])).toThrow(message)
  })

  it('says who decides, in order', () => {
    expect(
      parseApiServerArgs([
        'authorization-mode=Webhook,RBAC',
        'authorization-webhook-config-file=/kc',
        'authorization-webhook-cache-authorized-ttl=1m',
      ]).authorization,
    ).toEqual({
      authorizers: [
        {
          name: 'default',
          kubeconfigFile: '/kc',
          timeoutMs: 30_000,
          authorizedTtlMs: 60_000,
          unauthorizedTtlMs: 30_000,
          version: 'v1beta1',
          failurePolicy: 'NoOpinion',
        },
        'RBAC',
      ],
    })
    expect(parseApiServerArgs(['authorization-config=/a']).authorization).toEqual({ configFile: '/a' })
    expect(() => parseApiServerArgs(['authorization-config=/a', 'authorization-mode=RBAC'])).toThrow('the file says it all')
  })

  it('refuses what does not go together', () => {
    expect(() => parseApiServerArgs(['max-requests-inflight=0', 'max-mutating-requests-inflight=0'])).toThrow('must be more than 0')
    expect(() => parseApiServerArgs(['authentication-config=/a', 'oidc-client-id=c'])).toThrow('the file says it all')
    // Settings of batches are of no account where there are none.
    expect(parseApiServerArgs(['audit-webhook-mode=blocking', 'audit-webhook-batch-max-size=20000']).audit.webhook.mode).toBe('blocking')
    expect(() => parseApiServerArgs(['enable-admission-plugins=ResourceQuota', 'disable-admission-plugins=ResourceQuota'])).toThrow(
      'it is in disable-admission-plugins as well',
    )
  })
})
