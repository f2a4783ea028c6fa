import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { messageOf } from "../errors.ts"
import type { DataRef } from "../model/driver.ts"
import { fileIn } from "./result-files.ts"
import { verified } from "./result-store.ts"

export interface CheckedFiles {
  /** What is not there, or not as it was written. */
  readonly faults: readonly { readonly key: string; readonly message: string }[]
  /** How much lies in other data folders, where it was not looked. */
  readonly elsewhere: number
}

/** Reads the large data that these records refer to, as far as it lies in this data folder. Changes nothing. */
export async function checkFiles(
  refs: readonly { readonly key: string; readonly ref: DataRef }[],
  { data, folder }: { readonly data: string; readonly folder: string | undefined },
): Promise<CheckedFiles> {
  const faults: { key: string; message: string }[] = []
  let elsewhere = 0
  for (const { key, ref } of refs) {
    if (ref.folder !== folder) {
      elsewhere++
      continue
    }
    const file = fileIn(join(data, "results"), ref)
    try {
      verified(ref, await readFile(file))
    } catch (error) {
      const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT"
      const message = isMissing
        ? `its data is not there: ${file}`
        : `its data cannot be read: ${messageOf(error)}`
      faults.push({ key, message })
    }
  }
  return { faults, elsewhere }
}
