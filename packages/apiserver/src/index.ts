export { builtInParts } from './built-in-parts.ts'
export type { BuiltInParts, BuiltInPartsOptions } from './built-in-parts.ts'
export { createApiServer } from './create-api-server.ts'
export { parseEncryptionConfiguration } from './encryption/configuration.ts'
export type { EncryptedResources, EncryptionKey, EncryptionProvider } from './encryption/configuration.ts'
export { EncryptionAtRest } from './encryption/encryption-at-rest.ts'
export { encryptedDatastore, reencrypt } from './encryption/encrypted-datastore.ts'
export type { ReencryptOptions } from './encryption/encrypted-datastore.ts'
export { AuditFile } from './audit/audit-file.ts'
export type { AuditFileOptions } from './audit/audit-file.ts'
export { AuditWebhook, defaultAuditBatches } from './audit/audit-webhook.ts'
export type { AuditBatches, AuditWebhookOptions } from './audit/audit-webhook.ts'
export type { AuditOptions, AuditSink } from './audit/auditor.ts'
export { BlockingAuditWebhook } from './audit/blocking-audit-webhook.ts'
export type { BlockingAuditWebhookOptions } from './audit/blocking-audit-webhook.ts'
export type { SendOptions } from './audit/send-events.ts'
export { legacyFormat } from './audit/legacy-format.ts'
export { parseAuditPolicy } from './audit/policy.ts'
export type { AuditLevel, AuditPolicy, AuditRule, AuditStage } from './audit/policy.ts'
export { closeWhenIdle } from './http/close-when-idle.ts'
export { http2ServerOptions } from './http/listen.ts'
export type {
  AdvertisedEndpoint,
  ApiServer,
  ApiServerOptions,
  FromParts,
  Listening,
  ListenOptions,
  ServerParts,
  VersionInfo,
} from './api-server.ts'
export type { ComponentCheck } from './pipeline/component-statuses.ts'
export type { AggregationOptions, AnonymousPaths, ExtraDocument } from './api-server.ts'
export type { NodeConnector } from './connect/node-connector.ts'
export type { AdmissionPlugin, AdmissionRequest } from './admission/admission.ts'
export { admissionPluginNames, builtInAdmission } from './admission/built-in.ts'
export type { BuiltInAdmissionOptions } from './admission/built-in.ts'
export { parsePodSecurityConfiguration } from './admission/pod-security/configuration.ts'
export type { LevelVersion, PodSecurityConfiguration, PodSecurityPolicy } from './admission/pod-security/configuration.ts'
export type { AccessAttributes, Authenticator, Authorizer, Credentials, Decision, UserInfo } from './auth/auth.ts'
export type { InFlightLimits } from './flow-control/max-in-flight.ts'
export type { CertificateBundle } from './authentication/client-certificate.ts'
export type { RequestHeaderOptions } from './authentication/request-header.ts'
export type {
  FieldError,
  ObjectReader,
  RequestScope,
  ResourceOperations,
  ResourceStrategy,
  Subresource,
  SubresourceRequest,
  TableColumn,
  UpdateRules,
} from './registry/strategy.ts'
export { mastersAuthorizer, unionAuthorizer } from './auth/authorizers.ts'
export type { ChosenAuthorizers } from './auth/authorizer-chain.ts'
export { authorizerModes, parseAuthorizationConfiguration } from './auth/webhook/configuration.ts'
export type { AuthorizationWebhookConfig, AuthorizerMode, ConfiguredAuthorizer } from './auth/webhook/configuration.ts'
export type { MatchConditions } from './auth/webhook/match-conditions.ts'
export { WebhookAuthorizer } from './auth/webhook/webhook-authorizer.ts'
export type { WebhookAuthorizerOptions } from './auth/webhook/webhook-authorizer.ts'
export { bootstrapPolicy } from './auth/bootstrap/policy.ts'
export type { BootstrapPolicy } from './auth/bootstrap/policy.ts'
export { reconcileBootstrapPolicy } from './auth/bootstrap/reconcile.ts'
export type { PolicyWriter } from './auth/bootstrap/reconcile.ts'
export { NodeAuthorizer } from './auth/node/node-authorizer.ts'
export { RbacAuthorizer } from './auth/rbac/rbac-authorizer.ts'
export { bootstrapTokenAuthenticator } from './auth/tokens/bootstrap-tokens.ts'
export { basicAuthenticator, staticTokenAuthenticator } from './auth/tokens/credential-files.ts'
export { configurationOfFlags, parseAuthenticationConfiguration } from './auth/tokens/oidc/configuration.ts'
export type { AuthenticationConfiguration, JwtAuthenticatorConfig, OidcFlags } from './auth/tokens/oidc/configuration.ts'
export { oidcAuthenticator, signingAlgorithms } from './auth/tokens/oidc/oidc-authenticator.ts'
export type { OidcOptions } from './auth/tokens/oidc/oidc-authenticator.ts'
export { issuerDocument } from './auth/tokens/issuer-documents.ts'
export { ServiceAccountTokens } from './auth/tokens/service-account-tokens.ts'
export type { ServiceAccountTokenOptions } from './auth/tokens/service-account-tokens.ts'
export { parseTokenKeys, SigningKeys } from './auth/tokens/signing-keys.ts'
export { tokenWebhook } from './auth/tokens/token-webhook.ts'
export type { TokenWebhookOptions } from './auth/tokens/token-webhook.ts'
export { openRemoteHook } from './remote-hooks/remote-hook.ts'
export type { RemoteHook, RemoteHookOptions } from './remote-hooks/remote-hook.ts'
export { bearerAuthenticator } from './auth/tokens/token-authenticator.ts'
export type { TokenAuthenticator } from './auth/tokens/token-authenticator.ts'
export { builtInStrategies } from './resources/built-in.ts'
export type { BuiltInStrategyOptions } from './resources/built-in.ts'
