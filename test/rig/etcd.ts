import { readdir, readFile } from "node:fs/promises"
import { createServer } from "node:net"
import type { Etcd3 } from "etcd3"
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
  /** Asks it something that a store does not. */
  ask<T>(question: (client: Etcd3) => Promise<T>): Promise<T>
}

export interface EtcdFlags {
  /** The quota: over this many bytes it takes no writes. */
  readonly quotaBytes?: number
  /** How long without a leader until there is an election. The shortest lease is one and a half times as long. */
  readonly electionMs?: number
}

/** Starts an etcd on free ports of this machine and waits until it answers. */
export async function startEtcd(flags: EtcdFlags = {}): Promise<EtcdRig> {
  const [member] = await startMembers(1, flags)
  return member as EtcdRig
}

/** An etcd of several members. */
export interface EtcdClusterRig extends AsyncDisposable {
  readonly members: readonly EtcdRig[]
  /** The member that leads now, as all that answer say. */
  leader(): Promise<EtcdRig>
}

/** Starts an etcd of three members on free ports of this machine and waits until there is a leader. */
export async function startEtcdCluster(flags: EtcdFlags = {}): Promise<EtcdClusterRig> {
  const members = await startMembers(3, flags)
  return {
    members,
    leader: () =>
      until("the members agree on a leader", async () => {
        const views = await Promise.all(
          members.map((member) =>
            member
              .ask((client) => client.maintenance.status())
              .then(
                ({ header, leader }) => ({ member, id: header.member_id, leader }),
                () => undefined,
              ),
          ),
        )
        const answering = views.filter((view) => view !== undefined)
        const leaders = new Set(answering.map(({ leader }) => leader))
        return leaders.size === 1 ? answering.find(({ id }) => leaders.has(id))?.member : undefined
      }),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()))
    },
  }
}

async function startMembers(count: number, flags: EtcdFlags): Promise<readonly EtcdRig[]> {
  const places = await Promise.all(
    Array.from({ length: count }, async (_, n) => ({
      name: `member-${n + 1}`,
      endpoint: `http://127.0.0.1:${await freePort()}`,
      peer: `http://127.0.0.1:${await freePort()}`,
    })),
  )
  const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(",")
  // A member answers only when there is a leader, so they must be started together.
  return await Promise.all(places.map((place) => startMember(place, { cluster, ...flags })))
}

async function startMember(
  { name, endpoint, peer }: { readonly name: string; readonly endpoint: string; readonly peer: string },
  { cluster, quotaBytes, electionMs }: EtcdFlags & { readonly cluster: string },
): Promise<EtcdRig> {
  const program = findEtcd()
  const folder = await tempFolder()
  const flags = {
    name,
    "data-dir": folder.path,
    "listen-client-urls": endpoint,
    "advertise-client-urls": endpoint,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer,
    "initial-cluster": cluster,
    "log-level": "error",
    ...(quotaBytes === undefined ? {} : { "quota-backend-bytes": quotaBytes }),
    ...(electionMs === undefined
      ? {}
      : { "election-timeout": electionMs, "heartbeat-interval": Math.ceil(electionMs / 10) }),
  }
  const spawn = () =>
    Bun.spawn([program, ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)], {
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
      // While it starts it takes connections and may not answer them.
      const answer = await fetch(`${endpoint}/version`, { signal: AbortSignal.timeout(1_000) }).catch(
        () => undefined,
      )
      return (
        answer?.ok &&
        (await ask((client) => client.get("ready").string()).then(
          () => true,
          () => false,
        ))
      )
    })
  const ask = async <T>(question: (client: Etcd3) => Promise<T>) => {
    const client = connect({ endpoints: [endpoint], prefix: "" })
    try {
      return await question(client)
    } finally {
      client.close()
    }
  }
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
      await ask((client) => client.kv.compact({ revision, physical: true }))
    },
    ask,
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

/** Whether every thread of a process is stopped. */
export async function isStopped(pid: number): Promise<boolean> {
  const states = await Promise.all(
    (await readdir(`/proc/${pid}/task`)).map(async (task) => {
      const stat = await readFile(`/proc/${pid}/task/${task}/stat`, "utf8").catch(() => "")
      return stat.slice(stat.lastIndexOf(")") + 2)[0]
    }),
  )
  return states.every((state) => state === "T")
}
