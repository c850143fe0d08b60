import { ChannelCredentials, Client, connectivityState, Metadata } from '@grpc/grpc-js'
import type { ClientDuplexStream } from '@grpc/grpc-js'
import type { Message, MessageInput } from '../../etcd/messages.ts'
import { etcdMethod } from '../../etcd/services.ts'
import type { MethodName, RequestOf, ResponseOf } from '../../etcd/services.ts'
import type { TlsFiles } from './tls-files.ts'

/** How grpc-js is used. */
const channelOptions = {
  // An etcd that is back is found within a second.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.dns_min_time_between_resolutions_ms': 1000,
  // A frozen server is noticed after nine seconds; etcd refuses clients that ask more often than every five.
  'grpc.keepalive_time_ms': 6000,
  'grpc.keepalive_timeout_ms': 3000,
  // What is asked for is bounded, by etcd's limits and by pages; a single item must always fit.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // Whether a request may be repeated is decided here.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  // Connections of one datastore are its own: they end with it.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.client_idle_timeout_ms': 2 ** 31 - 1,
  'grpc-node.flow_control_window': 2 ** 20,
}

/** A stream of watch answers or lease renewals. */
export type EtcdStream<Name extends MethodName> = ClientDuplexStream<MessageInput<RequestOf<Name>>, Message<ResponseOf<Name>>>

/** A unary request that is under way. */
export interface UnaryCall<Name extends MethodName> {
  readonly answer: Promise<Message<ResponseOf<Name>>>
  readonly cancel: () => void
}

/** One address of etcd, with a connection for requests and one for long reads of the log: an HTTP/2 connection to etcd carries 100 streams at a time. */
export class Endpoint {
  readonly address: string
  readonly #client: Client
  readonly #logClient: Client
  readonly #metadata = new Metadata()
  /** Others are preferred until then, milliseconds of a monotonic clock. */
  avoidedUntilMs = 0

  constructor(address: string, tls: TlsFiles | undefined) {
    this.address = address
    const credentials =
      tls === undefined
        ? ChannelCredentials.createInsecure()
        : ChannelCredentials.createSsl(tls.ca ?? null, tls.key ?? null, tls.cert ?? null)
    this.#client = new Client(address, credentials, channelOptions)
    this.#logClient = new Client(address, credentials, channelOptions)
    // A member that is cut off from its cluster refuses requests and ends watches, instead of letting them wait.
    this.#metadata.set('hasleader', 'true')
  }

  /** Whether a request would be sent at once. Starts connecting if not. */
  get isReady(): boolean {
    return this.#client.getChannel().getConnectivityState(true) === connectivityState.READY
  }

  call<Name extends MethodName>(name: Name, request: MessageInput<RequestOf<Name>>, timeoutMs: number): UnaryCall<Name> {
    const { path, requestSerialize, responseDeserialize } = etcdMethod(name)
    let cancel = (): void => {}
    const answer = new Promise<Message<ResponseOf<Name>>>((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs }
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#metadata,
        options,
        (error, response) => {
          if (error !== null) reject(error)
          else if (response === undefined) reject(new Error('Invariant broken: a unary call ends with an error or an answer'))
          else resolve(response)
        },
      )
      cancel = () => call.cancel()
    })
    return { answer, cancel }
  }

  /** Opens a stream; it ends with an error when the connection is lost. */
  stream<Name extends MethodName>(name: Name, isForLog: boolean): EtcdStream<Name> {
    const { path, requestSerialize, responseDeserialize } = etcdMethod(name)
    return (isForLog ? this.#logClient : this.#client).makeBidiStreamRequest(path, requestSerialize, responseDeserialize, this.#metadata)
  }

  /** Ends its connections and what is under way on them. */
  close(): void {
    this.#client.close()
    this.#logClient.close()
  }
}
