import { ConveyorError, messageOf } from "../errors.ts"
import type { HostRecord } from "../model/host.ts"
import type { LogLine, LogPlace } from "../model/log.ts"
import type { KnownHosts } from "./known-hosts.ts"
import { apiOf, describeGone, describeMistaken, inTime, Silence } from "./peer.ts"

/** One that did not answer is not asked for this long by who does not insist: a page of many runs waits for it once. */
const restMs = 1_000
/** How often it is worth asking again. */
const retryMs = 2_000

export interface PeerLogsOptions {
  readonly hosts: KnownHosts
  readonly now: () => Date
}

export interface PeerReadOptions {
  /** The sequence of the last line that is not wanted. */
  readonly after: number
  readonly follow: boolean
  /** Ask also when the host did not answer a moment ago. */
  readonly insist: boolean
  readonly signal: AbortSignal
}

interface Failure {
  /** Since when every try has failed. */
  readonly since: string
  /** When those who do not insist try again, on the monotonic clock. */
  readonly againAtMs: number
}

/** The logs in other hosts' data folders, over HTTP. */
export class PeerLogs {
  readonly #options: PeerLogsOptions
  readonly #failures = new Map<string, Failure>()

  constructor(options: PeerLogsOptions) {
    this.#options = options
  }

  /** Resolves when it is worth asking again for what could not be had: a host has come or gone, or some time is over. */
  async news(signal: AbortSignal): Promise<void> {
    await this.#options.hosts.change(retryMs, signal)
  }

  /**
   * As the `read` of a log store, from a host that runs on this place's data folder. Throws `SERVER_UNREACHABLE` with a
   * sentence for people when there is none, when it does not answer in time, or when it breaks off.
   */
  async *read(place: LogPlace, runId: string, options: PeerReadOptions): AsyncGenerator<readonly LogLine[]> {
    const hosts = this.#options.hosts.on(place.folder)
    const [host] = hosts
    if (host === undefined) throw unreachable(describeGone(this.#options.hosts, place))
    const failure = this.#failures.get(place.folder)
    if (failure !== undefined && !options.insist && performance.now() < failure.againAtMs)
      throw unreachable(silent(host, failure))
    for (const [index, candidate] of hosts.entries()) {
      let answered = false
      try {
        for await (const batch of readFrom(candidate, place.folder, { runId, ...options })) {
          answered = true
          this.#failures.delete(place.folder)
          yield batch
        }
        return
      } catch (error) {
        if (options.signal.aborted) return
        if (!answered && index < hosts.length - 1) continue
        if (error instanceof ConveyorError) throw error
        throw unreachable(silent(candidate, this.#failed(place.folder, error)), error)
      }
    }
  }

  #failed(folder: string, error: unknown): Failure {
    const since = this.#failures.get(folder)?.since ?? this.#options.now().toISOString()
    const failure = { since, againAtMs: performance.now() + (error instanceof Silence ? restMs : 0) }
    this.#failures.set(folder, failure)
    return failure
  }
}

const silent = ({ hostId, url }: HostRecord, { since }: Failure) =>
  `Host ${hostId} at ${url} has not answered since ${since}`

function unreachable(message: string, cause?: unknown): ConveyorError {
  return new ConveyorError("SERVER_UNREACHABLE", message, cause === undefined ? {} : { cause })
}

/** The lines that one host sends. Throws `SERVER_UNREACHABLE` when it cannot be the one, anything else when it fails. */
async function* readFrom(
  host: HostRecord,
  folder: string,
  { runId, after, follow, signal }: PeerReadOptions & { readonly runId: string },
): AsyncGenerator<readonly LogLine[]> {
  const url = apiOf(host, "SERVER_UNREACHABLE")
  const gone = new AbortController()
  const query = `folder=${encodeURIComponent(folder)}&after=${after}${follow ? "&follow=true" : ""}`
  const answer = fetch(`${url}/logs/local/${runId}?${query}`, {
    signal: AbortSignal.any([signal, gone.signal]),
  })
  try {
    const response = await inTime(answer)
    if (response.status === 409) throw unreachable(describeMistaken(host))
    if (!response.ok || response.body === null)
      throw unreachable(`Host ${host.hostId} at ${url} answered ${response.status}`)
    yield* batchesOf(response.body.getReader(), follow)
  } finally {
    gone.abort()
    await answer.catch(messageOf)
  }
}

/** Reads what {@link peerLogRoutes} writes: a line of JSON for each log line, `null` for "that is all there is". */
async function* batchesOf(
  reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read">,
  follow: boolean,
): AsyncGenerator<readonly LogLine[]> {
  const decoder = new TextDecoder()
  let rest = ""
  let whole = false
  for (;;) {
    const { value, done } = await inTime(reader.read())
    if (done) break
    const texts = (rest + decoder.decode(value, { stream: true })).split("\n")
    rest = texts.pop() ?? ""
    const parsed = texts.filter((text) => text !== "").map((text) => JSON.parse(text) as LogLine | null)
    const lines = parsed.filter((line) => line !== null)
    if (lines.length > 0) yield lines
    if (parsed.length === 0) continue
    whole = parsed.at(-1) === null
    if (whole && follow) yield []
  }
  if (!whole || follow) throw new Error("The answer broke off")
}
