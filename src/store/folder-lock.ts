import { Database } from "bun:sqlite"
import { join } from "node:path"
import { ConveyorError } from "../errors.ts"
import { sqliteError } from "./sqlite-file.ts"

/**
 * Holds a folder for this process until it is disposed or the process ends, however it ends. Throws `DATA_IN_USE`
 * while another one holds it, or this one does already, and never waits. The folder must be there.
 *
 * It is the lock of an empty SQLite file: the system drops it with the process, so it cannot be left behind.
 */
export function lockFolder(folder: string): Disposable {
  const file = join(folder, "lock")
  let db: Database | undefined
  try {
    db = new Database(file, { create: true, readwrite: true })
    db.run("BEGIN EXCLUSIVE")
  } catch (error) {
    db?.close()
    const known = sqliteError(error, file)
    if (!(known instanceof ConveyorError && known.code === "DATA_IN_USE")) throw known
    throw new ConveyorError("DATA_IN_USE", `Another process uses the data folder ${folder}`, { cause: error })
  }
  const held = db
  return { [Symbol.dispose]: () => held.close() }
}
