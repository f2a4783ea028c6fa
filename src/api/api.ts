import { Elysia } from "elysia"
import { ConveyorError, messageOf } from "../errors.ts"
import type { LogStore } from "../logs/log-store.ts"
import { httpUrl } from "../model/http-url.ts"
import type { ResultFiles } from "../results/result-files.ts"
import type { ResultStore } from "../results/result-store.ts"
import type { Store } from "../store/store.ts"
import { isLoopback, refuseForeignPages } from "./browser-guard.ts"
import { cancelRoutes } from "./cancel.ts"
import { definitionRoutes } from "./definitions.ts"
import { driverRoutes } from "./drivers.ts"
import { explainRoutes } from "./explain.ts"
import { healthRoutes } from "./health.ts"
import { hostRoutes } from "./hosts.ts"
import { followHosts } from "./known-hosts.ts"
import { logRoutes } from "./logs.ts"
import { metricRoutes, newMetrics } from "./metrics.ts"
import { openApiRoutes } from "./openapi.ts"
import { peerLogRoutes } from "./peer-log-route.ts"
import { PeerLogs } from "./peer-logs.ts"
import { allResults } from "./peer-results.ts"
import { pipelineRevisions } from "./pipeline-revisions.ts"
import { pipelineRoutes } from "./pipelines.ts"
import { isExpected, problemOf } from "./problem.ts"
import { rerunRoutes } from "./rerun.ts"
import { resolveRoutes } from "./resolve.ts"
import { resourceRoutes } from "./resources.ts"
import type { ApiContext, ApiServer, Call, ProcessesOf, Route } from "./route.ts"
import { startRunFeed } from "./run-feed.ts"
import { runRoutes } from "./runs.ts"
import { stepDataRoutes } from "./step-data.ts"
import { unmatched } from "./unmatched.ts"

export interface ApiOptions {
  readonly store: Store
  readonly logs: LogStore
  /** The large data of results in the same data folder. */
  readonly results: ResultFiles
  /** The name or address to bind. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  readonly hostId: string
  /** The id of the data folder that {@link logs} lie in. */
  readonly folder: string
  readonly version: string
  /** The host's variables that expressions may read. */
  readonly env: { readonly [name: string]: string }
  /** Default: what runs on this machine cannot be told. */
  readonly processesOf?: ProcessesOf
  /** How long a dead host keeps its claims. */
  readonly leaseTtlMs: number
  /** More routes, such as those of the dashboard. */
  readonly routes?: readonly Route[]
  readonly now?: () => Date
  /** Told of every bug a request ran into, once, and of a watch that broke and is begun again. */
  readonly onError?: (error: unknown) => void
}

export interface RunningApi {
  /** Where it answers, such as `http://127.0.0.1:8080`, without a slash at the end. */
  readonly url: string
  /** Large data of results, from whichever host has it. */
  readonly results: ResultStore
  /** Ends waits and streams, answers what is under way, and stops listening. Safe to call twice. */
  stop(): Promise<void>
}

/** How long answers under way may take when the API stops. */
const stopMsMax = 1_000
/** Over this a request is cut while it is read; requests over the limit of a body get their answer before. */
const requestBytesMax = 64 * 1024 * 1024

/**
 * Starts the HTTP API. It writes what is wanted to the store and shows what is there; the engine does the rest. Rejects
 * with `CONFLICT` when the address cannot be bound.
 */
export async function serveApi(options: ApiOptions): Promise<RunningApi> {
  const onError = options.onError ?? ((error: unknown) => console.error(error))
  const stopping = new AbortController()
  const { store } = options
  const now = options.now ?? (() => new Date())
  const metrics = newMetrics()
  const hosts = await followHosts(store, { signal: stopping.signal, now, onError })
  const { results, folder } = options
  const reachable = allResults({ files: results, folder, hosts, signal: stopping.signal })
  const context: ApiContext = {
    store,
    logs: options.logs,
    results,
    allResults: reachable,
    feed: await startRunFeed({
      store,
      signal: stopping.signal,
      onActive: metrics.restart,
      onChange: metrics.count,
      onError,
    }),
    pipelineRevision: pipelineRevisions(store),
    hostId: options.hostId,
    folder,
    peers: new PeerLogs({ hosts, now }),
    version: options.version,
    env: options.env,
    processesOf: options.processesOf ?? (() => undefined),
    leaseTtlMs: options.leaseTtlMs,
    now,
    signal: stopping.signal,
  }
  const nouns = [
    ...definitionRoutes(context),
    ...resourceRoutes(context),
    ...pipelineRoutes(context),
    ...runRoutes(context),
    ...explainRoutes(context),
    ...cancelRoutes(context),
    ...rerunRoutes(context),
    ...resolveRoutes(context),
    ...stepDataRoutes(context),
    ...logRoutes(context),
    ...peerLogRoutes(context),
    ...driverRoutes(context),
    ...hostRoutes(context),
    ...healthRoutes(context),
    ...metricRoutes(metrics),
    ...(options.routes ?? []),
  ]
  const routes = [...nouns, ...openApiRoutes(nouns, options.version)]
  const app = appOf(routes, { loopbackOnly: isLoopback(options.host), onError })
  try {
    app.listen({
      hostname: options.host,
      port: options.port,
      maxRequestBodySize: requestBytesMax,
      // Shared, a port that another process has taken would be no error, and half of the requests would go there.
      reusePort: false,
    })
  } catch (cause) {
    stopping.abort()
    const address = `${options.host}:${options.port}`
    throw new ConveyorError("CONFLICT", `The API cannot listen on ${address}: ${messageOf(cause)}`, { cause })
  }
  const { server } = app
  if (server === null) throw new Error("A server that listens must be there")

  return {
    url: httpUrl(options.host, Number(server.port)),
    results: reachable,
    async stop() {
      stopping.abort()
      const forced = setTimeout(() => void server.stop(true), stopMsMax)
      await server.stop()
      clearTimeout(forced)
    },
  }
}

function appOf(
  routes: readonly Route[],
  { loopbackOnly, onError }: { readonly loopbackOnly: boolean; readonly onError: (error: unknown) => void },
) {
  const app = new Elysia()
    .onRequest(({ request }) => refuseForeignPages(request, loopbackOnly))
    .onError(({ error, code, request }) => {
      if (code === "NOT_FOUND" && !isExpected(error)) return unmatched(routes, request)
      if (!isExpected(error)) onError(error)
      return problemOf(error, request)
    })
  for (const route of routes) {
    // Elysia reads in a handler's source what of the request it uses, so each names the three itself.
    app.route(
      route.method,
      route.path,
      ({ request, params, server }) => route.handle(callOf(request, params, server)),
      { parse: "none" },
    )
    if (route.method !== "GET") continue
    app.route(
      "HEAD",
      route.path,
      async ({ request, params, server }) => withoutBody(await route.handle(callOf(request, params, server))),
      { parse: "none" },
    )
  }
  return app
}

/** The answer to `HEAD`: what `GET` says, without its body. A stream is ended before it has begun. */
async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel()
  return new Response(null, response)
}

function callOf(request: Request, params: Call["params"], server: ApiServer | null): Call {
  const start = request.url.indexOf("?", 8)
  return {
    request,
    params,
    get path() {
      return new URL(request.url).pathname
    },
    query: new URLSearchParams(start < 0 ? "" : request.url.slice(start + 1)),
    keepOpen: () => server?.timeout(request, 0),
  }
}
