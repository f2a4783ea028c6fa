/** A place for releases: drafts, and those that everybody sees. On a free port of 127.0.0.1. */
export interface ReleaseStore extends AsyncDisposable {
  readonly url: string
  /** The files of a release that is public; undefined when there is none. */
  release(name: string): Map<string, Uint8Array> | undefined
  /** What came and went, in order: `draft v1`, `publish v1`, `discard v1`. */
  readonly history: readonly string[]
  /** Files that it does not take, by their name; it answers 503. */
  readonly refused: Set<string>
}

interface Release {
  readonly files: Map<string, Uint8Array>
  draft: boolean
}

/**
 * Starts it, empty. `PUT /releases/<name>` with `{"draft": …}` makes a draft or publishes it, `DELETE` takes it back, and
 * `PUT /releases/<name>/<file>` adds a file to a draft. What is public is there for `GET`.
 */
export function startReleaseStore(): ReleaseStore {
  const releases = new Map<string, Release>()
  const history: string[] = []
  const refused = new Set<string>()
  const none = () => new Response("There is no such thing", { status: 404 })

  function mark(name: string, draft: boolean): Response {
    const files = releases.get(name)?.files ?? new Map<string, Uint8Array>()
    releases.set(name, { files, draft })
    history.push(`${draft ? "draft" : "publish"} ${name}`)
    return Response.json({ name, draft })
  }

  async function add(name: string, file: string, request: Request): Promise<Response> {
    const release = releases.get(name)
    if (release?.draft !== true) return none()
    if (refused.has(file)) return new Response("Not now", { status: 503 })
    release.files.set(file, await request.bytes())
    return new Response(null, { status: 201 })
  }

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/releases/:name": {
        PUT: async (request) =>
          mark(request.params.name, ((await request.json()) as { draft: boolean }).draft),
        DELETE(request) {
          const { name } = request.params
          if (releases.get(name)?.draft !== true) return none()
          releases.delete(name)
          history.push(`discard ${name}`)
          return new Response(null, { status: 204 })
        },
      },
      "/releases/:name/:file": {
        PUT: (request) => add(request.params.name, request.params.file, request),
        GET(request) {
          const release = releases.get(request.params.name)
          const found = release?.draft === false ? release.files.get(request.params.file) : undefined
          return found === undefined ? none() : new Response(Buffer.from(found))
        },
      },
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    release(name) {
      const found = releases.get(name)
      return found?.draft === false ? found.files : undefined
    },
    history,
    refused,
    [Symbol.asyncDispose]: () => server.stop(true),
  }
}
