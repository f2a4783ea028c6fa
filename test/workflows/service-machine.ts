import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { tempFolder } from "../rig/temp-folder.ts"

/** A machine that runs one release of a service, and is told over HTTP which. On a free port of 127.0.0.1. */
export interface ServiceMachine extends AsyncDisposable {
  readonly url: string
  /** The releases it was told to run, in order. */
  readonly switches: readonly string[]
  /** What the service answers now. */
  answer(): Promise<string>
}

/**
 * Starts it with nothing on it: `PUT /releases/<name>` unpacks a tarball, `PUT /current` ends the running release and
 * starts another one, `GET /current` names it, and what is under `/service` is asked of the process that runs.
 */
export async function startServiceMachine(): Promise<ServiceMachine> {
  const folder = await tempFolder()
  const switches: string[] = []
  let running: ServiceProcess | undefined

  async function unpack(release: string, request: Request): Promise<Response> {
    const tarball = await request.bytes()
    const sum = new Bun.CryptoHasher("sha256").update(tarball).digest("hex")
    if (sum !== request.headers.get("x-sha256")) return new Response("Not what was packed", { status: 422 })
    const path = join(folder.path, release)
    await mkdir(path, { recursive: true })
    const tar = Bun.spawn(["tar", "-xz", "--strip-components=1", "-C", path], { stdin: tarball })
    return new Response(null, { status: (await tar.exited) === 0 ? 201 : 422 })
  }

  async function change(release: string): Promise<Response> {
    await running?.[Symbol.asyncDispose]()
    running = startProcess(join(folder.path, release))
    switches.push(release)
    return Response.json({ release })
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    routes: {
      "/releases/:release": { PUT: (request) => unpack(request.params.release, request) },
      "/current": {
        GET: () => {
          const release = switches.at(-1)
          return release === undefined ? new Response("None", { status: 404 }) : Response.json({ release })
        },
        PUT: async (request) => change(((await request.json()) as { release: string }).release),
      },
      "/service/*": (request) => ask(running, new URL(request.url).pathname.slice("/service".length)),
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    switches,
    answer: async () => (await ask(running, "/")).text(),
    async [Symbol.asyncDispose]() {
      await running?.[Symbol.asyncDispose]()
      await server.stop(true)
      await folder[Symbol.asyncDispose]()
    },
  }
}

interface ServiceProcess extends AsyncDisposable {
  /** Where it listens; undefined when it has ended before. */
  readonly port: Promise<string | undefined>
}

function startProcess(cwd: string): ServiceProcess {
  const child = Bun.spawn(["node", "server.js"], { cwd, stdout: "pipe", stderr: "ignore" })
  const listening = async (): Promise<string | undefined> => {
    let output = ""
    const decoder = new TextDecoder()
    for await (const bytes of child.stdout) {
      output += decoder.decode(bytes, { stream: true })
      const found = /^listening on (\d+)$/m.exec(output)
      if (found !== null) return found[1]
    }
    return undefined
  }
  return {
    port: listening(),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL")
      await child.exited
    },
  }
}

/** Asks the service once it listens; 502 when it does not run. */
async function ask(service: ServiceProcess | undefined, path: string): Promise<Response> {
  const port = await service?.port
  const gone = () => new Response("The service does not run", { status: 502 })
  return port === undefined ? gone() : await fetch(`http://127.0.0.1:${port}${path}`).catch(gone)
}
