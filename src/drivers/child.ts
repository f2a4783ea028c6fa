import { constants } from "node:os"
import { createLineSplitter } from "./lines.ts"
import { openPipe, type Pipe } from "./pipe.ts"
import { createTail } from "./tail.ts"

/** How long a pipe that a left-over process holds open is listened to after the command itself has ended. */
const quietMs = 100

/** Takes lines of output; what it returns holds up further reading, and with it, once the pipe is full, the writer. */
export type TakeLines = (messages: readonly string[]) => Promise<void>

export interface ChildOptions {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly stdin?: string | undefined
  /** How much of the end of its standard output is kept. Default: 1 MiB, as of its standard error. */
  readonly stdoutBytesMax?: number | undefined
  readonly onStdout?: TakeLines | undefined
  readonly onStderr?: TakeLines | undefined
}

/** A command in its own process group, whose id is `pid`. */
export interface Child {
  readonly pid: number
  /** The exit code, 128 + n when signal n ended it. */
  readonly exited: Promise<number>
  /**
   * Resolves after `exited` when all output was read and taken, or when a process it left behind
   * keeps the pipes open and nothing comes through them any more.
   */
  readonly quiet: Promise<void>
  /** Was all output read, so that nothing can come any more? */
  isDrained(): boolean
  /** The end of what it printed so far. */
  stdout(): string
  stderr(): string
  /** How many bytes it printed on its standard output so far. */
  stdoutBytes(): number
  /** Stops listening. For when everything that wrote is gone. */
  close(): Promise<void>
}

/** Starts a command. Throws when it cannot be started. */
export function startChild(command: readonly string[], options: ChildOptions): Child {
  const [outPipe, errPipe] = [openPipe(), openPipe()]
  const pipes = [outPipe, errPipe].filter((pipe) => pipe !== undefined)
  const spawn = () =>
    Bun.spawn([...command], {
      cwd: options.cwd,
      env: { ...options.env },
      stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
      stdout: outPipe?.write ?? "pipe",
      stderr: errPipe?.write ?? "pipe",
      detached: true,
    })
  let subprocess: ReturnType<typeof spawn>
  try {
    subprocess = spawn()
  } catch (error) {
    for (const pipe of pipes) pipe.closeRead()
    throw error
  } finally {
    for (const pipe of pipes) pipe.closeWrite()
  }
  const out = listen(outPipe ?? spawned(subprocess.stdout), {
    take: options.onStdout,
    bytesMax: options.stdoutBytesMax,
  })
  const err = listen(errPipe ?? spawned(subprocess.stderr), { take: options.onStderr, bytesMax: undefined })
  const exited = subprocess.exited.then((code) =>
    subprocess.signalCode === null
      ? code
      : 128 + (constants.signals[subprocess.signalCode as NodeJS.Signals] ?? 0),
  )
  const quiet = exited.then(() => untilQuiet([out, err]))
  return {
    pid: subprocess.pid,
    exited,
    quiet,
    isDrained: () => out.isDone() && err.isDone(),
    stdout: out.text,
    stderr: err.text,
    stdoutBytes: out.total,
    async close() {
      await Promise.all([out.close(), err.close()])
    },
  }
}

interface Listener {
  readonly done: Promise<void>
  isDone(): boolean
  text(): string
  total(): number
  close(): Promise<void>
  /** Since when it has been waiting for bytes; undefined while it is busy with some. */
  idleSince(): number | undefined
}

type Source = Pick<Pipe, "stream" | "closeRead">

/** What Bun reads from a child, where it has made the pipe itself. */
function spawned(stream: ReadableStream<Uint8Array> | number | undefined): Source {
  if (!(stream instanceof ReadableStream)) throw new Error("A child's output must be a stream")
  return { stream, closeRead() {} }
}

function listen(
  { stream, closeRead }: Source,
  { take, bytesMax }: { readonly take: TakeLines | undefined; readonly bytesMax: number | undefined },
): Listener {
  const reader = stream.getReader()
  const tail = createTail(bytesMax)
  const lines = createLineSplitter()
  let idleSince: number | undefined
  let isDone = false

  async function hand(messages: readonly string[]): Promise<void> {
    if (take !== undefined && messages.length > 0) await take(messages)
  }

  async function read(): Promise<Uint8Array | undefined> {
    idleSince = performance.now()
    const { value } = await reader.read()
    idleSince = undefined
    return value
  }

  // The first read is asked for at once: until then Bun takes in whatever the child writes, without bound.
  async function pump(): Promise<void> {
    try {
      for (let bytes = await read(); bytes !== undefined; bytes = await read()) {
        tail.push(bytes)
        await hand(lines.push(bytes))
      }
    } finally {
      closeRead()
    }
    await hand(lines.end())
    isDone = true
  }

  const done = pump()
  return {
    done,
    isDone: () => isDone,
    text: tail.text,
    total: tail.total,
    idleSince: () => idleSince,
    async close() {
      await untilQuiet([{ done, idleSince: () => idleSince }])
      await reader.cancel()
      await done
    },
  }
}

async function untilQuiet(listeners: readonly Pick<Listener, "done" | "idleSince">[]): Promise<void> {
  const all = Promise.all(listeners.map(({ done }) => done)).then(() => true)
  const isQuiet = ({ idleSince }: Pick<Listener, "idleSince">): boolean =>
    performance.now() - (idleSince() ?? performance.now()) >= quietMs
  const open = new Set(listeners)
  for (const listener of listeners) void listener.done.then(() => open.delete(listener))
  while (!(await Promise.race([all, Bun.sleep(quietMs).then(() => false)]))) {
    if ([...open].every(isQuiet)) return
  }
}
