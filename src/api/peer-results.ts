import { ConveyorError, messageOf } from "../errors.ts"
import type { DataRef } from "../model/driver.ts"
import type { HostRecord } from "../model/host.ts"
import { notThere, type ResultFiles } from "../results/result-files.ts"
import { type ResultStore, verified } from "../results/result-store.ts"
import type { KnownHosts } from "./known-hosts.ts"
import { apiOf, describeGone, describeMistaken, inTime } from "./peer.ts"

export interface AllResultsOptions {
  /** The large data that lies here. */
  readonly files: ResultFiles
  /** The id of the data folder it lies in. */
  readonly folder: string
  readonly hosts: KnownHosts
  readonly signal: AbortSignal
}

/** Large data from whichever host has it: from the files here, or over HTTP. It is written here. */
export function allResults({ files, folder, hosts, signal }: AllResultsOptions): ResultStore {
  return {
    write: (runId, json) => files.write(runId, json),
    async read(ref) {
      if (ref.folder === folder) return await files.read(ref)
      const candidates = hosts.on(ref.folder)
      let problem = new ConveyorError("HOST_GONE", describeGone(hosts, ref))
      for (const host of candidates) {
        try {
          return verified(ref, await fetchFrom(host, ref, signal))
        } catch (error) {
          if (error instanceof ConveyorError && error.code === "NOT_FOUND") throw error
          const message = `Host ${host.hostId} at ${host.url} does not answer: ${messageOf(error)}`
          problem =
            error instanceof ConveyorError ? error : new ConveyorError("HOST_GONE", message, { cause: error })
        }
      }
      throw problem
    },
  }
}

async function fetchFrom(host: HostRecord, ref: DataRef, signal: AbortSignal): Promise<Uint8Array> {
  const url = apiOf(host, "HOST_GONE")
  const gone = new AbortController()
  const query = `folder=${encodeURIComponent(ref.folder)}`
  const answer = fetch(`${url}/data/local/${ref.runId}/${ref.sha256}?${query}`, {
    signal: AbortSignal.any([signal, gone.signal]),
  })
  try {
    const response = await inTime(answer)
    if (response.status === 404) throw notThere(ref)
    if (response.status === 409) throw new ConveyorError("HOST_GONE", describeMistaken(host))
    if (!response.ok || response.body === null) throw new Error(`it answered ${response.status}`)
    return await bytesOf(response.body.getReader(), ref)
  } finally {
    gone.abort()
    await answer.catch(messageOf)
  }
}

/** The whole body; no more of it than there is to be. */
async function bytesOf(
  reader: Pick<ReadableStreamDefaultReader<Uint8Array>, "read">,
  { bytes }: DataRef,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let read = 0
  for (;;) {
    const { value, done } = await inTime(reader.read())
    if (done) break
    chunks.push(value)
    read += value.byteLength
    if (read > bytes) break
  }
  // One that broke off is no damage: the host went while it answered.
  if (read < bytes) throw new Error("its answer broke off")
  return Buffer.concat(chunks)
}
