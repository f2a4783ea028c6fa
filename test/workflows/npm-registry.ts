/** What npm sends when it publishes: the package's description and its tarball as an attachment. */
interface Publication {
  readonly name: string
  readonly versions: Readonly<Record<string, { readonly dist: { readonly integrity: string } }>>
  readonly _attachments: Readonly<Record<string, { readonly data: string }>>
}

/** As much of an npm registry as publishing needs, on a free port of 127.0.0.1. */
export interface NpmRegistry extends Disposable {
  readonly url: string
  /** The tarballs that were published, by `name@version`, with what npm says is in them. */
  readonly published: ReadonlyMap<string, { readonly tarball: Uint8Array; readonly integrity: string }>
  /** How many requests to publish came. */
  readonly puts: number
  /** Whether it takes publications; if not, it answers 503. */
  open: boolean
}

/** Starts it, empty. */
export function startNpmRegistry(): NpmRegistry {
  const published = new Map<string, { tarball: Uint8Array; integrity: string }>()
  const state = { open: true, puts: 0 }
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const [, name = "", version] = new URL(request.url).pathname.split("/")
      if (request.method === "PUT") {
        state.puts++
        if (!state.open) return Response.json({ error: "The registry is closed" }, { status: 503 })
        const publication = (await request.json()) as Publication
        for (const [each, { dist }] of Object.entries(publication.versions)) {
          const [attachment] = Object.values(publication._attachments)
          const tarball = Buffer.from(attachment?.data ?? "", "base64")
          published.set(`${name}@${each}`, { tarball, integrity: dist.integrity })
        }
        return Response.json({ ok: true }, { status: 201 })
      }
      const found = version !== undefined && published.has(`${name}@${version}`)
      return found ? Response.json({ name, version }) : Response.json({ error: "not_found" }, { status: 404 })
    },
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    published,
    get puts() {
      return state.puts
    },
    get open() {
      return state.open
    },
    set open(open) {
      state.open = open
    },
    [Symbol.dispose]: () => void server.stop(true),
  }
}
