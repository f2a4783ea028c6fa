import { ConveyorError } from "../errors.ts"
import { type DataRef, type DriverResult, dataBytesMax, inlineBytesMax } from "../model/driver.ts"

/** Where the large data of results lies. */
export interface ResultStore {
  /** Writes JSON down for a run; resolves when it is durable. Rejects when it cannot be written. */
  write(runId: string, json: string): Promise<DataRef>
  /**
   * The JSON that a reference stands for, from whichever host has it. Rejects with `HOST_GONE` when that host cannot be
   * asked now, and with `NOT_FOUND` when it does not have it any more, or not as it was; the message says whose fault it is.
   */
  read(ref: DataRef): Promise<Uint8Array>
}

/** A result with the rest of what it says, its large data replaced by a reference. */
export type Recorded<Result extends DriverResult> =
  | Result
  | (Omit<Result, "data" | "dataRef"> & { readonly data?: never; readonly dataRef: DataRef })

/**
 * The result as it is written down, once its data is safe where it is large. Rejects with `TOO_LARGE` when it is over
 * {@link dataBytesMax}, and when it cannot be written; the message is for whoever reads the run.
 */
export async function recorded<Result extends DriverResult>(
  result: Result,
  { runId, results }: { readonly runId: string; readonly results: Pick<ResultStore, "write"> },
): Promise<Recorded<Result>> {
  if (result.data === undefined) return result
  const json = JSON.stringify(result.data)
  const bytes = Buffer.byteLength(json)
  if (bytes <= inlineBytesMax) return result
  if (bytes > dataBytesMax) {
    const message = `the driver's data is ${bytes} bytes; at most ${dataBytesMax} are kept (put large things into the workspace)`
    throw new ConveyorError("TOO_LARGE", message)
  }
  const { data: _, dataRef: __, ...rest } = result
  return { ...rest, dataRef: await results.write(runId, json) }
}

/** The same bytes, when they are those that were written. `NOT_FOUND` otherwise. */
export function verified(ref: DataRef, bytes: Uint8Array): Uint8Array {
  if (bytes.byteLength === ref.bytes && sha256(bytes) === ref.sha256) return bytes
  const found = bytes.byteLength === ref.bytes ? "other bytes" : `${bytes.byteLength} bytes`
  throw new ConveyorError("NOT_FOUND", `host ${ref.hostId} has it damaged: there are ${found} in its file`)
}

export function sha256(bytes: Uint8Array): string {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex")
}
