import { createReadStream, createWriteStream } from "node:fs"
import { access, mkdtemp, open, rename, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { createGunzip, createGzip } from "node:zlib"
import { ConveyorError, messageOf } from "../errors.ts"

/** How much text is handed on at once. */
const chunkLength = 64 * 1024

/**
 * Writes text to a new file, packed with gzip when its name ends in `.gz`, or to the standard output for `-`. The file
 * appears under its name when all of it is on disk, and can be read by its owner only. Throws `CONFLICT` when it is
 * there already, and `STORE_UNAVAILABLE` when it cannot be written.
 */
export async function writeText(file: string, lines: AsyncIterable<string>): Promise<void> {
  if (file === "-") return await writing("the standard output", () => writeOut(lines))
  if (
    await access(file).then(
      () => true,
      () => false,
    )
  )
    throw new ConveyorError("CONFLICT", `${file} exists already`)
  const part = `${file}.part`
  try {
    await writing(file, async () => {
      const source = Readable.from(chunksOf(lines))
      const sink = createWriteStream(part, { mode: 0o600 })
      if (file.endsWith(".gz")) await pipeline(source, createGzip(), sink)
      else await pipeline(source, sink)
      await syncFile(part)
      await rename(part, file)
    })
  } finally {
    await rm(part, { force: true })
  }
}

/** A file that can be read again: itself, or for `-` a temporary copy of the standard input, which goes with its scope. */
export async function spool(file: string): Promise<AsyncDisposable & { readonly path: string }> {
  if (file !== "-") return { path: file, [Symbol.asyncDispose]: async () => {} }
  const folder = await mkdtemp(join(tmpdir(), "conveyor-import-"))
  const path = join(folder, "export")
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    await writing(path, () => pipeline(process.stdin, createWriteStream(path, { mode: 0o600 })))
  } catch (error) {
    await remove()
    throw error
  }
  return { path, [Symbol.asyncDispose]: remove }
}

/** The bytes of a file, unpacked when they are packed with gzip. Throws `NOT_FOUND` when it cannot be read. */
export async function* readBytes(path: string): AsyncGenerator<Uint8Array> {
  const packed = await isPacked(path)
  try {
    const bytes = createReadStream(path)
    if (!packed) return yield* bytes
    const unpacked = createGunzip()
    // Its reader sees what ends the stream; without one here, the same error would be nobody's.
    pipeline(bytes, unpacked).catch(() => {})
    yield* unpacked
  } catch (cause) {
    if (cause instanceof ConveyorError) throw cause
    throw new ConveyorError("INVALID", `${path} cannot be unpacked: ${messageOf(cause)}`, { cause })
  }
}

async function isPacked(path: string): Promise<boolean> {
  try {
    await using file = await open(path)
    const { bytesRead, buffer } = await file.read(Buffer.alloc(2), 0, 2, 0)
    return bytesRead === 2 && buffer[0] === 0x1f && buffer[1] === 0x8b
  } catch (cause) {
    throw new ConveyorError("NOT_FOUND", `${path} cannot be read: ${messageOf(cause)}`, { cause })
  }
}

/** Many lines are short, and a stream takes time for each piece. */
async function* chunksOf(lines: AsyncIterable<string>): AsyncGenerator<string> {
  let chunk = ""
  for await (const line of lines) {
    chunk += line
    if (chunk.length < chunkLength) continue
    yield chunk
    chunk = ""
  }
  if (chunk !== "") yield chunk
}

async function writeOut(lines: AsyncIterable<string>): Promise<void> {
  for await (const chunk of chunksOf(lines)) {
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(chunk, (error) => (error ? reject(error) : resolve()))
    })
  }
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, "r+")
  await file.sync()
}

async function writing(name: string, write: () => Promise<void>): Promise<void> {
  try {
    await write()
  } catch (cause) {
    // Only what the system says of a file has a number; anything else comes from where the text is made.
    if (!(cause instanceof Error && "errno" in cause)) throw cause
    throw new ConveyorError("STORE_UNAVAILABLE", `${name} cannot be written: ${messageOf(cause)}`, { cause })
  }
}
