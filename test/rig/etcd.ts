import { readdir, readFile } from "node:fs/promises"
import { createServer } from "node:net"
import { connect } from "../../src/store/etcd-client.ts"
import { tempFolder } from "./temp-folder.ts"
import { until } from "./until.ts"

/** A real etcd of one member, for one test or file. It ends with its scope, and its data with it. */
export interface EtcdRig extends AsyncDisposable {
  readonly endpoint: string
  /** `kill -9`: the process is gone when this answers. */
  kill(): Promise<void>
  /** Starts it again on the same ports and data, after {@link kill}, and waits until it answers. */
  restart(): Promise<void>
  /** Stops the process where it is: connections stay open, and nothing answers once this has resolved. */
  pause(): Promise<void>
  /** Lets it go on after {@link pause}. */
  resume(): void
  /** Forgets the history before `revision`. */
  compact(revision: number): Promise<void>
}

/** Starts an etcd on free ports of this machine and waits until it answers. */
export async function startEtcd(): Promise<EtcdRig> {
  const program = findEtcd()
  const folder = await tempFolder()
  const endpoint = `http://127.0.0.1:${await freePort()}`
  const peer = `http://127.0.0.1:${await freePort()}`
  const flags = {
    "data-dir": folder.path,
    "listen-client-urls": endpoint,
    "advertise-client-urls": endpoint,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": `default=${peer}`,
    "log-level": "error",
  }
  const spawn = () =>
    Bun.spawn([program, ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)], {
      stdio: ["ignore", "ignore", "ignore"],
    })
  let child = spawn()

  const kill = async () => {
    child.kill("SIGKILL")
    await child.exited
  }
  const ready = () =>
    until("etcd answers", async () => {
      if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode} before it answered`)
      const answer = await fetch(`${endpoint}/health`).catch(() => undefined)
      return answer?.ok
    })
  await ready()

  return {
    endpoint,
    kill,
    restart: async () => {
      child = spawn()
      await ready()
    },
    pause: async () => {
      child.kill("SIGSTOP")
      // The signal is on its way when `kill` returns, and a thread it has not reached may still answer.
      await until("every thread of etcd has stopped", () => isStopped(child.pid))
    },
    resume: () => child.kill("SIGCONT"),
    compact: async (revision) => {
      const client = connect({ endpoints: [endpoint], prefix: "" })
      try {
        await client.kv.compact({ revision, physical: true })
      } finally {
        client.close()
      }
    },
    [Symbol.asyncDispose]: async () => {
      await kill()
      await folder[Symbol.asyncDispose]()
    },
  }
}

function findEtcd(): string {
  const found = Bun.which("etcd") ?? Bun.which("etcd", { PATH: "/usr/bin:/usr/local/bin" })
  if (found === null)
    throw new Error('These tests need an etcd: start them with "bun run test", or install one')
  return found
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === "string") throw new Error("A TCP server must have a port")
  return address.port
}

async function isStopped(pid: number): Promise<boolean> {
  const states = await Promise.all(
    (await readdir(`/proc/${pid}/task`)).map(async (task) => {
      const stat = await readFile(`/proc/${pid}/task/${task}/stat`, "utf8").catch(() => "")
      return stat.slice(stat.lastIndexOf(")") + 2)[0]
    }),
  )
  return states.every((state) => state === "T")
}
