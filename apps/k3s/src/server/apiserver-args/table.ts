/** What a value must read like. A `list` takes commas as well as repetition; a `duration` is Go's, such as `1m30s`. */
type ArgumentKind = 'text' | 'list' | 'count' | 'boolean' | 'duration' | 'fraction'

interface Argument {
  readonly name: string
  readonly kind: ArgumentKind
  /** What is taken when it is not given, as it would be written. */
  readonly default?: string | undefined
  readonly help: string
}

/** kube-apiserver's own arguments that mean something here: what `--kube-apiserver-arg=NAME=VALUE` takes. */
export const apiServerArguments = [
  {
    name: 'anonymous-auth',
    kind: 'boolean',
    default: 'false',
    help: 'Whether requests without credentials are heard, as system:anonymous',
  },
  { name: 'authentication-config', kind: 'text', help: 'File with an AuthenticationConfiguration; its issuers follow changes of the file' },
  { name: 'oidc-issuer-url', kind: 'text', help: 'Issuer whose ID tokens are believed; https' },
  { name: 'oidc-client-id', kind: 'text', help: 'Audience that those tokens must be for' },
  { name: 'oidc-username-claim', kind: 'text', default: 'sub', help: 'Claim that is the name of the user' },
  {
    name: 'oidc-username-prefix',
    kind: 'text',
    help: 'What is put before names; - for nothing (default: the issuer and #, but nothing for email)',
  },
  { name: 'oidc-groups-claim', kind: 'text', help: 'Claim that lists the groups of the user' },
  { name: 'oidc-groups-prefix', kind: 'text', help: 'What is put before groups' },
  { name: 'oidc-ca-file', kind: 'text', help: 'Authority of the issuer’s certificate (default: the system’s)' },
  { name: 'oidc-required-claim', kind: 'list', help: 'CLAIM=VALUE that tokens must have' },
  { name: 'oidc-signing-algs', kind: 'list', default: 'RS256', help: 'Algorithms of signatures that are taken' },
  { name: 'token-auth-file', kind: 'text', help: 'File with lines TOKEN,USER,UID[,"GROUP,GROUP"]' },
  {
    name: 'authentication-token-webhook-config-file',
    kind: 'text',
    help: 'kubeconfig of the server that is asked about tokens by TokenReview',
  },
  { name: 'authentication-token-webhook-cache-ttl', kind: 'duration', default: '2m', help: 'How long its answers are believed' },
  {
    name: 'authentication-token-webhook-version',
    kind: 'text',
    default: 'v1beta1',
    help: 'Of the TokenReviews that it gets: v1 or v1beta1',
  },
  {
    name: 'authorization-mode',
    kind: 'list',
    default: 'Node,RBAC',
    help: 'Who decides, in order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny',
  },
  {
    name: 'authorization-config',
    kind: 'text',
    help: 'File with an AuthorizationConfiguration in place of the modes; its changes are followed',
  },
  {
    name: 'authorization-webhook-config-file',
    kind: 'text',
    help: 'kubeconfig of the server that the mode Webhook asks by SubjectAccessReview',
  },
  {
    name: 'authorization-webhook-version',
    kind: 'text',
    default: 'v1beta1',
    help: 'Of the SubjectAccessReviews that it gets: v1 or v1beta1',
  },
  { name: 'authorization-webhook-cache-authorized-ttl', kind: 'duration', default: '5m', help: 'How long its yes is believed' },
  {
    name: 'authorization-webhook-cache-unauthorized-ttl',
    kind: 'duration',
    default: '30s',
    help: 'How long everything else that it says is believed',
  },
  { name: 'service-account-issuer', kind: 'list', help: 'Issuers of service account tokens: the first signs, all are believed' },
  { name: 'service-account-signing-key-file', kind: 'text', help: 'Private key that signs those tokens (default: the server’s own)' },
  { name: 'service-account-key-file', kind: 'list', help: 'Keys that verify them, besides the one that signs' },
  {
    name: 'service-account-max-token-expiration',
    kind: 'duration',
    default: '0s',
    help: 'Longest life of a token that is asked for; 0: as long as is asked',
  },
  {
    name: 'service-account-extend-token-expiration',
    kind: 'boolean',
    default: 'true',
    help: 'Whether tokens of pods live a year, though stale after an hour',
  },
  { name: 'service-account-jwks-uri', kind: 'text', help: 'Where the discovery document says that the keys are' },
  { name: 'api-audiences', kind: 'list', help: 'Audiences of tokens for the API server (default: its issuer, k3s)' },
  { name: 'audit-policy-file', kind: 'text', help: 'Policy of what is audited; without it nothing is' },
  { name: 'audit-log-path', kind: 'text', help: 'File that audit events are written to; - for standard output' },
  { name: 'audit-log-format', kind: 'text', default: 'json', help: 'json, or legacy: a line of text each' },
  { name: 'audit-log-maxage', kind: 'count', default: '0', help: 'Days that old files are kept; 0: for ever' },
  { name: 'audit-log-maxbackup', kind: 'count', default: '0', help: 'Old files that are kept; 0: all' },
  { name: 'audit-log-maxsize', kind: 'count', default: '0', help: 'Megabytes at which a new file is begun; 0: 100' },
  { name: 'audit-webhook-config-file', kind: 'text', help: 'kubeconfig of the server that audit events are sent to' },
  {
    name: 'audit-webhook-mode',
    kind: 'text',
    default: 'batch',
    help: 'batch; blocking: answers wait for it; blocking-strict: requests that it is not told of fail',
  },
  { name: 'audit-webhook-initial-backoff', kind: 'duration', default: '10s', help: 'Time before a failed batch is sent again' },
  { name: 'audit-webhook-batch-buffer-size', kind: 'count', default: '10000', help: 'Events that may wait; more are dropped' },
  { name: 'audit-webhook-batch-max-size', kind: 'count', default: '400', help: 'Events in a batch' },
  { name: 'audit-webhook-batch-max-wait', kind: 'duration', default: '30s', help: 'Longest time that an event waits for others' },
  { name: 'audit-webhook-batch-throttle-enable', kind: 'boolean', default: 'true', help: 'Whether batches are held back' },
  { name: 'audit-webhook-batch-throttle-qps', kind: 'fraction', default: '10', help: 'Batches a second' },
  { name: 'audit-webhook-batch-throttle-burst', kind: 'count', default: '15', help: 'Batches that may come at once after a rest' },
  {
    name: 'encryption-provider-config',
    kind: 'text',
    help: 'EncryptionConfiguration of what is encrypted in the datastore; changes of the file are followed',
  },
  { name: 'enable-admission-plugins', kind: 'list', help: 'Admission plugins besides those that are on' },
  { name: 'disable-admission-plugins', kind: 'list', help: 'Admission plugins that are on and shall not be' },
  { name: 'admission-control-config-file', kind: 'text', help: 'AdmissionConfiguration: the defaults and exemptions of PodSecurity' },
  { name: 'default-not-ready-toleration-seconds', kind: 'count', default: '300', help: 'How long pods stay on a node that is not ready' },
  {
    name: 'default-unreachable-toleration-seconds',
    kind: 'count',
    default: '300',
    help: 'How long pods stay on a node that cannot be reached',
  },
  { name: 'allow-privileged', kind: 'boolean', default: 'true', help: 'Whether privileged containers may be' },
  { name: 'max-requests-inflight', kind: 'count', default: '400', help: 'Requests that read, at once' },
  { name: 'max-mutating-requests-inflight', kind: 'count', default: '200', help: 'Requests that write, at once' },
  {
    name: 'enable-priority-and-fairness',
    kind: 'boolean',
    default: 'true',
    help: 'Whether both together are shared out by priority levels',
  },
  { name: 'request-timeout', kind: 'duration', default: '1m', help: 'Longest time of a request that is no watch or stream' },
  { name: 'min-request-timeout', kind: 'count', default: '1800', help: 'Seconds after which, to twice as many, a watch is ended' },
  {
    name: 'goaway-chance',
    kind: 'fraction',
    default: '0',
    help: 'How often, of 1, a request makes its client open another connection; at most 0.02',
  },
  { name: 'event-ttl', kind: 'duration', default: '1h', help: 'How long Events are kept' },
  { name: 'profiling', kind: 'boolean', default: 'false', help: 'Whether /debug/ is served' },
  { name: 'v', kind: 'count', default: '0', help: 'How much is logged; 4 and more as --debug' },
  { name: 'feature-gates', kind: 'list', help: 'NAME=true or NAME=false of gates; each must have its default value' },
  { name: 'runtime-config', kind: 'list', help: 'GROUP/VERSION=true or =false; each must say what is so anyway' },
] as const satisfies readonly Argument[]

/** Names of the arguments that read like `Kind`. */
export type ArgumentName<Kind extends ArgumentKind = ArgumentKind> = Extract<
  (typeof apiServerArguments)[number],
  { readonly kind: Kind }
>['name']
