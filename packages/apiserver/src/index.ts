export { createApiServer } from './create-api-server.ts'
export type {
  AdvertisedEndpoint,
  ApiServer,
  ApiServerOptions,
  FromParts,
  Listening,
  ListenOptions,
  NodeConnector,
  ServerParts,
  VersionInfo,
} from './api-server.ts'
export type { AdmissionPlugin, AdmissionRequest } from './admission/admission.ts'
export type { AccessAttributes, Authenticator, Authorizer, Credentials, Decision, UserInfo } from './auth/auth.ts'
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
