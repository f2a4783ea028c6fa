import { until } from "../rig/until.ts"

/** Where environments are made to play in, and a chat. On a free port of 127.0.0.1. */
export interface Lab extends AsyncDisposable {
  readonly url: string
  /** The environments that there are now. */
  readonly environments: ReadonlySet<string>
  /** All that happened, in order: environments made and deleted, cases begun, what the chat was told. */
  readonly history: readonly string[]
  /** Cases of this number get no answer while they are in here. */
  readonly held: Set<string>
  /** Waits until the case has been begun so many times. */
  begun(number: string, times?: number): Promise<void>
  /** The processes that played cases and are still there. */
  playing(): Promise<readonly number[]>
}

/**
 * Starts it. `PUT` and `DELETE /environments/<name>` make and delete one, `GET /environments/<name>/cases/<number>` plays a
 * case in it, and `POST /chat` tells something.
 */
export function startLab(): Lab {
  const environments = new Set<string>()
  const history: string[] = []
  const held = new Set<string>()
  const players = new Set<number>()
  const none = () => new Response("There is no such environment", { status: 404 })

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    routes: {
      "/environments/:name": {
        PUT(request) {
          environments.add(request.params.name)
          history.push("made")
          return new Response(null, { status: 201 })
        },
        DELETE(request) {
          if (!environments.delete(request.params.name)) return none()
          history.push("deleted")
          return new Response(null, { status: 204 })
        },
      },
      "/environments/:name/cases/:number": async (request) => {
        const { name, number } = request.params
        if (!environments.has(name)) return none()
        history.push(`case ${number}`)
        for (const id of request.headers.get("x-processes")?.split(" ") ?? []) players.add(Number(id))
        await until("the case may end", () => request.signal.aborted || !held.has(number), 60_000)
        return new Response("passed")
      },
      "/chat": {
        async POST(request) {
          history.push(((await request.json()) as { text: string }).text)
          return new Response(null, { status: 204 })
        },
      },
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    environments,
    history,
    held,
    async begun(number, times = 1) {
      await until(`case ${number} has begun`, () => {
        return history.filter((event) => event === `case ${number}`).length >= times
      })
    },
    async playing() {
      const commands = [...players].map(async (id) => ({ id, command: await commandOf(id) }))
      return (await Promise.all(commands)).filter(({ command }) => command !== "").map(({ id }) => id)
    },
    async [Symbol.asyncDispose]() {
      held.clear()
      await server.stop(true)
    },
  }
}

/** What a process runs; nothing for one that is gone, or dead and not yet taken note of by its parent. */
function commandOf(pid: number): Promise<string> {
  return Bun.file(`/proc/${pid}/cmdline`)
    .text()
    .catch(() => "")
}
