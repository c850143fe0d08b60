import type { Secret, ServiceAccount } from '@k3s/api/types/core/v1'
import { createClient } from '@k3s/client'
import { invariant } from '@k3s/lifecycle'
import { builtInAdmission, type BuiltInAdmissionOptions } from './admission/built-in.ts'
import { extensionPlugins } from './admission/extensions.ts'
import type { ApiServerOptions, ServerParts } from './api-server.ts'
import { keepPolicyStatus } from './admission/policies/policy-status.ts'
import type { Authenticator } from './auth/auth.ts'
import { AuthorizerChain, type ChosenAuthorizers } from './auth/authorizer-chain.ts'
import { bootstrapPolicy, type BootstrapPolicy } from './auth/bootstrap/policy.ts'
import { reconcileBootstrapPolicy, type PolicyWriter } from './auth/bootstrap/reconcile.ts'
import { NodeAuthorizer } from './auth/node/node-authorizer.ts'
import { RbacAuthorizer } from './auth/rbac/rbac-authorizer.ts'
import { bootstrapTokenAuthenticator } from './auth/tokens/bootstrap-tokens.ts'
import { issuerDocument } from './auth/tokens/issuer-documents.ts'
import { ServiceAccountTokens } from './auth/tokens/service-account-tokens.ts'
import type { SigningKeys } from './auth/tokens/signing-keys.ts'
import { bearerAuthenticator, type TokenAuthenticator } from './auth/tokens/token-authenticator.ts'
import { ensureSystemPriorities } from './bootstrap/system-priorities.ts'
import { serverUser } from './registry/resource-operations.ts'
import { builtInStrategies, type BuiltInStrategyOptions } from './resources/built-in.ts'

export interface BuiltInPartsOptions extends Pick<BuiltInStrategyOptions, 'serviceCidrs' | 'nodePortRange' | 'allowPrivileged' | 'random'> {
  /** Issues and verifies tokens of service accounts. */
  readonly serviceAccounts: {
    readonly keys: SigningKeys
    /** The first signs; tokens of all are accepted. */
    readonly issuers: readonly string[]
    readonly audiences?: readonly string[] | undefined
    /** Tokens that are asked for longer live this long; default: as long as is asked. */
    readonly maxExpirationSeconds?: number | undefined
    /** Whether tokens of kubelets' pods live a year, though stale after an hour; default true. */
    readonly extendsExpiration?: boolean | undefined
    /** Where clients reach the server; for the documents about the issuer. */
    readonly baseUrl: string
    readonly jwksUri?: string | undefined
  }
  /** Other bearer tokens, asked after those of service accounts. */
  readonly tokens?: readonly TokenAuthenticator[] | undefined
  /** Other ways to authenticate. */
  readonly authenticators?: readonly Authenticator[] | undefined
  /** Who decides what users may do, after the masters; default Node and RBAC. A function is asked at each request, and gives the same list until it changes. */
  readonly authorizers?: ChosenAuthorizers | (() => ChosenAuthorizers) | undefined
  /** Which admission plugins act, and how those do that have settings. */
  readonly admission?: Pick<BuiltInAdmissionOptions, 'disabled' | 'enabled' | 'podSecurity' | 'tolerationSeconds'> | undefined
}

/** What {@link builtInParts} gives: options of `createApiServer`, and what other parts of a control plane need of them. */
export interface BuiltInParts extends Pick<
  ApiServerOptions,
  'authenticators' | 'authorizers' | 'admission' | 'strategies' | 'heavyRules' | 'extraPaths' | 'prepare' | 'startChecks'
> {
  /** The token for a Secret of type `kubernetes.io/service-account-token`, which dies with the Secret. Rejects before the server is made. */
  signSecretToken(account: ServiceAccount, secret: Secret): Promise<string>
}

/** Everything that a cluster's API server has beyond its core, as options of `createApiServer`: rules of the built-in resources, tokens, node and role authorization with their bootstrap policy, admission. Make one for each server. */
export function builtInParts(options: BuiltInPartsOptions): BuiltInParts {
  const { serviceAccounts } = options
  let made: BuiltIns | undefined
  let known: ServerParts | undefined
  const of = (parts: ServerParts): BuiltIns => (made ??= makeBuiltIns(options, parts))
  return {
    authenticators: (parts) => {
      const { tokenAuthenticators } = of(parts)
      return [...tokenAuthenticators.map(bearerAuthenticator), ...(options.authenticators ?? [])]
    },
    authorizers: (parts) => [of(parts).authorizer],
    admission: (parts) => {
      known = parts
      const { authorizer, rbac } = of(parts)
      return builtInAdmission({
        authorizer,
        rules: rbac,
        operations: parts.operations,
        random: options.random,
        ...options.admission,
        extensions: extensionPlugins({ ...parts, authorizer }),
      })
    },
    heavyRules: { allowPrivileged: options.allowPrivileged },
    strategies: (parts) => {
      const { authorizer, serviceAccountTokens, tokenAuthenticators } = of(parts)
      return builtInStrategies({
        ...options,
        operations: parts.operations,
        authorizer,
        rules: authorizer,
        tokens: serviceAccountTokens,
        tokenAuthenticators,
        audiences: serviceAccountTokens.audiences,
      })
    },
    signSecretToken: async (account, secret) => {
      invariant(made !== undefined, 'tokens are signed after the server was made')
      return made.serviceAccountTokens.issueForSecret(account, secret)
    },
    extraPaths: (path) => (made === undefined ? undefined : issuerDocument(made.serviceAccountTokens, path, serviceAccounts)),
    prepare: async (server, signal) => {
      const client = createClient(server.transport(serverUser))
      // It runs until the server closes, and never rejects.
      if (known !== undefined) void keepPolicyStatus({ ...known, client }, signal)
      const writer: PolicyWriter = {
        get: (type, at) => client.resource(type).get(at.name, { namespace: at.namespace }),
        create: (type, object) => client.resource(type).create(object),
        update: (type, object) => client.resource(type).update(object),
        delete: (type, { name, namespace, uid }) => client.resource(type).delete(name, { namespace, preconditions: { uid } }),
      }
      const roles = slicesOf(bootstrapPolicy()).map((slice) => reconcileBootstrapPolicy(writer, slice, signal))
      await Promise.all([
        ensureSystemPriorities(writer).then(() => server.finish(prioritiesCheck)),
        Promise.all(roles).then(() => server.finish(rolesCheck)),
      ])
    },
    startChecks: [rolesCheck, prioritiesCheck],
  }
}

// As upstream calls its hooks that do the same.
const rolesCheck = 'rbac/bootstrap-roles'
const prioritiesCheck = 'scheduling/bootstrap-system-priority-classes'

// Objects of the policy that are written at once: enough for the datastore to commit them in groups.
const policySlices = 16

/** The policy in parts that can be reconciled side by side: no object of it depends on another. */
function slicesOf(policy: BootstrapPolicy): BootstrapPolicy[] {
  return Array.from({ length: policySlices }, (_, slice) => {
    const mine = <T>(objects: readonly T[]): readonly T[] => objects.filter((_object, index) => index % policySlices === slice)
    return {
      clusterRoles: mine(policy.clusterRoles),
      clusterRoleBindings: mine(policy.clusterRoleBindings),
      roles: mine(policy.roles),
      roleBindings: mine(policy.roleBindings),
    }
  })
}

interface BuiltIns {
  readonly serviceAccountTokens: ServiceAccountTokens
  readonly tokenAuthenticators: readonly TokenAuthenticator[]
  readonly rbac: RbacAuthorizer
  readonly authorizer: AuthorizerChain
}

const defaultAuthorizers: ChosenAuthorizers = ['Node', 'RBAC']

function makeBuiltIns(options: BuiltInPartsOptions, { objects, operations, clock }: ServerParts): BuiltIns {
  const serviceAccountTokens = new ServiceAccountTokens({ ...options.serviceAccounts, objects, operations, clock })
  const rbac = new RbacAuthorizer(objects)
  const { authorizers = defaultAuthorizers } = options
  const choose = typeof authorizers === 'function' ? authorizers : () => authorizers
  return {
    serviceAccountTokens,
    tokenAuthenticators: [serviceAccountTokens, bootstrapTokenAuthenticator(objects, clock), ...(options.tokens ?? [])],
    rbac,
    authorizer: new AuthorizerChain({ node: new NodeAuthorizer(objects), rbac }, choose),
  }
}
