import { dlopen, ptr } from "bun:ffi"
import { closeSync } from "node:fs"

/** A pipe of the operating system's. The write end is for a child; each end is closed once. */
export interface Pipe {
  readonly write: number
  closeWrite(): void
  /** Reads as bytes come and holds up the writer when nobody takes them. */
  readonly stream: ReadableStream<Uint8Array>
  /** Not before the stream has ended or was cancelled. */
  closeRead(): void
}

const closeOnExec = 0o2000000

/**
 * Makes a pipe; undefined where the system gives none or its C library is not found. Bun's own "pipe" is a socket,
 * which a child cannot open again: there `echo failed > /dev/stderr` and `tee /dev/stderr` fail.
 */
export function openPipe(): Pipe | undefined {
  const pipe2 = findPipe2()
  const ends = new Int32Array(2)
  if (pipe2 === undefined || pipe2(ptr(ends), closeOnExec) !== 0) return undefined
  const [read = 0, write = 0] = ends
  return {
    write,
    closeWrite: () => closeSync(write),
    stream: Bun.file(read).stream(),
    closeRead: () => closeSync(read),
  }
}

type Pipe2 = (ends: ReturnType<typeof ptr>, flags: number) => number
let found: { readonly pipe2: Pipe2 | undefined } | undefined

function findPipe2(): Pipe2 | undefined {
  found ??= { pipe2: loadPipe2() }
  return found.pipe2
}

function loadPipe2(): Pipe2 | undefined {
  try {
    return dlopen("libc.so.6", { pipe2: { args: ["ptr", "i32"], returns: "i32" } }).symbols.pipe2
  } catch {
    return undefined // Another C library, or another system: sockets do for most commands.
  }
}
