import {
  Etcd3,
  EtcdLeaseInvalidError,
  GRPCDeadlineExceededError,
  GRPCNotFoundError,
  GRPCOutOfRangeError,
  type IOptions,
  isRecoverableError,
} from "etcd3"
import { ConveyorError, messageOf } from "../errors.ts"

export interface EtcdOptions {
  /** `http://host:port` or `https://host:port`, one for each member. */
  readonly endpoints: readonly string[]
  /** Begins every key of this store in etcd; callers never see it. */
  readonly prefix: string
  /** How long a call may wait for an answer. Default 5000. */
  readonly callMsMax?: number
  /** Told when it is opened on an etcd that is too old for production. Default: nobody is. */
  readonly onWarning?: (warning: string) => void
}

/** See {@link EtcdOptions.callMsMax}. */
export const callMsMaxDefault = 5_000

type Policy = NonNullable<NonNullable<IOptions["faultHandling"]>["global"]>

/**
 * The client's own fault handling is a breaker that keeps a healthy etcd waiting for seconds, and retries that make a
 * commit that happened look like a conflict. This policy does nothing, and `call` decides.
 */
const handsOff: Policy = {
  _altReturn: undefined as never,
  onSuccess: () => ({ dispose: () => {} }),
  onFailure: () => ({ dispose: () => {} }),
  execute: async (run, signal) => run({ signal: signal ?? new AbortController().signal }),
}

/** A client that sets a deadline on every call and notices a peer that has fallen silent. It connects when used. */
export function connect(options: EtcdOptions): Etcd3 {
  const callMsMax = options.callMsMax ?? callMsMaxDefault
  return new Etcd3({
    hosts: [...options.endpoints],
    faultHandling: { global: handsOff, host: () => handsOff },
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + callMsMax }),
    grpcOptions: {
      // One revision of a watch or one page of a list may pass the default of 4 MB.
      "grpc.max_receive_message_length": -1,
      "grpc.keepalive_time_ms": 10_000,
      "grpc.keepalive_timeout_ms": 5_000,
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.min_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 1_000,
    },
  })
}

/** Whether etcd answered that it does not know the lease, or not any more. */
export function isLeaseGone(error: unknown): boolean {
  return error instanceof EtcdLeaseInvalidError || error instanceof GRPCNotFoundError
}

/** Whether etcd answered that the revision asked for is compacted. */
export function isCompacted(error: unknown): boolean {
  return error instanceof GRPCOutOfRangeError && error.message.includes("compacted")
}

/** Whether the call waited for an answer until its deadline. */
export function isLate(error: unknown): boolean {
  return error instanceof GRPCDeadlineExceededError
}

/** Whether the connection broke or the member cannot serve now: another try, or another member, may fare better. */
export function isLost(error: unknown): boolean {
  return error instanceof Error && isRecoverableError(error) && !isOutOfSpace(error)
}

/** Whether the call has not left this process, so that it cannot have happened. */
export function wasNotSent(error: unknown): boolean {
  return (
    isLost(error) &&
    /No connection established|Channel closed before call started|ECONNREFUSED/.test(messageOf(error))
  )
}

/** etcd has more data than its quota allows. It reads, deletes, compacts and renews leases, and takes nothing new. */
export const outOfSpace =
  "etcd is out of space and takes no writes: defragment its members, then disarm the alarm (etcdctl defrag --cluster; etcdctl alarm disarm)"

function isOutOfSpace(error: Error): boolean {
  return error.message.includes("database space exceeded")
}

/** What was asked, for the words of an error. */
export interface Asked {
  /** The addresses of the members. */
  readonly places: string
  readonly callMsMax: number
}

/** The error that callers of the store are to see. */
export function asStoreError(error: unknown, asked: Asked): unknown {
  if (error instanceof ConveyorError || isLeaseGone(error) || isCompacted(error)) return error
  const message = messageOf(error)
  if (message.includes("request is too large"))
    return new ConveyorError("TOO_LARGE", "etcd refuses a request of that size", { cause: error })
  return new ConveyorError("STORE_UNAVAILABLE", describe(error, asked), { cause: error })
}

function describe(error: unknown, { places, callMsMax }: Asked): string {
  if (error instanceof Error && isOutOfSpace(error)) return outOfSpace
  if (isLate(error)) return `etcd at ${places} has not answered within ${callMsMax} ms`
  // Of "14 UNAVAILABLE: No connection established. Last error: null. Resolution note: " the middle is what people need.
  const reason = messageOf(error)
    .replace(/^\d+ [A-Z_]+: /, "")
    .replace(/ ?(Last error: null\.|Resolution note: $)/g, "")
    .trim()
  return `etcd at ${places} does not answer: ${reason}`
}
