import { mkdir, rm } from "node:fs/promises"
import { hostname } from "node:os"
import { join } from "node:path"
import type { Logger } from "pino"
import { serveApi } from "./api/api.ts"
import type { Config } from "./config.ts"
import { createDriverHost } from "./drivers/create-driver-host.ts"
import type { DriverHost } from "./drivers/driver-host.ts"
import { endOrphans } from "./drivers/end-processes.ts"
import { processesOf } from "./drivers/living-processes.ts"
import { Engine } from "./engine/engine.ts"
import { Workspaces } from "./engine/workspaces.ts"
import { ConveyorError, messageOf } from "./errors.ts"
import { advertisedUrl } from "./hosts/advertised-url.ts"
import { HostLease } from "./hosts/host-lease.ts"
import { createEditorFile } from "./loader/editor-file.ts"
import { createLoader } from "./loader/loader.ts"
import { openLogStore } from "./logs/log-files.ts"
import type { DriverDescription } from "./model/driver.ts"
import type { Fault } from "./model/fault.ts"
import type { HostRecord } from "./model/host.ts"
import { ResultFiles } from "./results/result-files.ts"
import { Retention } from "./retention/retention.ts"
import { killAfterCommit } from "./store/fault-point.ts"
import { settleFolderFormat } from "./store/folder-format.ts"
import { folderIdOf } from "./store/folder-id.ts"
import { lockFolder } from "./store/folder-lock.ts"
import { hostDriverKey } from "./store/keys.ts"
import { openStore } from "./store/open.ts"
import { refuseUnfinishedMove } from "./store/snapshot.ts"
import { version } from "./version.ts"

/** One running Conveyor. Disposing it is {@link Host.stop}. */
export interface Host extends AsyncDisposable {
  /** Where its API answers, such as `http://127.0.0.1:8080`. */
  readonly url: string
  readonly hostId: string
  /** What was there when it had started. */
  readonly loaded: {
    readonly drivers: readonly DriverDescription[]
    readonly pipelines: number
    readonly faults: readonly Fault[]
  }
  /**
   * Starts no new attempt, gives running ones `graceMs`, then stops. Runs that have not ended go on at the next start,
   * or on another host. The API answers until the attempts are over.
   */
  drain(): Promise<void>
  /** Stops at once, running attempts included. Safe to call again, and while it drains. */
  stop(): Promise<void>
}

/**
 * The composition root: the only place where the parts of the house meet. They start in the order in which each
 * needs the one before it (store, logs, lease, drivers, pipelines, API, engine) and stop in the opposite one. Resolves when
 * everything runs and the API answers. When a part does not start, those before it are stopped and its error is
 * thrown.
 */
export async function startHost(config: Config, { log }: { readonly log: Logger }): Promise<Host> {
  await using parts = new AsyncDisposableStack()
  await mkdir(config.data, { recursive: true }).catch((cause: unknown) => {
    const message = `The data folder ${config.data} cannot be made: ${messageOf(cause)}`
    throw new ConveyorError("STORE_UNAVAILABLE", message, { cause })
  })
  parts.use(lockFolder(config.data))
  await settleFolderFormat(config.data)
  const folder = await folderIdOf(config.data)
  const store = parts.use(await openStore(config.store, { onWarning: (warning) => log.warn(warning) }))
  if (config.killAfterCommit !== undefined) killAfterCommit(store, config.killAfterCommit)
  await refuseUnfinishedMove(store)
  const isolation = await markRunning(config)
  parts.defer(isolation.unmark)
  const logs = parts.use(await openLogStore(join(config.data, "logs")))
  const drivers = parts.use(
    createDriverHost({
      folder: config.drivers,
      data: config.data,
      workerBytesMax: config.workerBytesMax,
      log,
    }),
  )
  const hostId = `${hostname()}-${Bun.randomUUIDv7()}`
  const startedAt = new Date().toISOString()
  let url = ""
  let attempts = () => 0
  const describe = (): HostRecord => ({
    hostId,
    folder,
    version,
    startedAt,
    ...(url === "" ? {} : { url }),
    labels: config.labels,
    load: { attempts: attempts(), attemptsMax: config.attemptsMax },
    drivers: drivers.list(),
    driverFaults: drivers.faults(),
  })
  const lease = new HostLease({
    store,
    hostId,
    ttlMs: config.leaseTtlMs,
    describe,
    describeMore: () => describeDrivers(hostId, drivers),
    onError: (message, cause) => log.error({ err: cause }, message),
  })
  const giveLeaseBack = () =>
    lease[Symbol.asyncDispose]().catch((error: unknown) =>
      log.warn({ err: error }, "the lease could not be given back; it ends by itself"),
    )
  parts.defer(giveLeaseBack)
  const loader = parts.use(
    createLoader({
      folder: config.pipelines,
      store,
      lease,
      // An embedded store is this host's alone.
      ...(config.store.type === "etcd" ? { memory: join(config.data, "pipelines-seen.json") } : {}),
      log,
    }),
  )
  await Promise.all([drivers.start(), lease.start().then(() => loader.start())])
  const editorFile = parts.use(
    createEditorFile({
      folder: config.pipelines,
      drivers: () => drivers.list().map(({ name, hash }) => ({ name, ...drivers.schemasOf(hash) })),
      log,
    }),
  )
  drivers.onChange(editorFile.update)
  loader.onFolder(editorFile.update)

  // Before the engine: that asks other hosts through it.
  const api = await serveApi({
    store,
    logs,
    results: new ResultFiles({ path: join(config.data, "results"), folder, hostId }),
    host: config.host,
    port: config.port,
    hostId,
    folder,
    version,
    env: config.env,
    processesOf,
    leaseTtlMs: config.leaseTtlMs,
    onError: (error) => log.error({ err: error }, "a request ran into a bug"),
  })
  parts.defer(() => api.stop())
  const engine = new Engine({
    store,
    drivers,
    lease,
    results: api.results,
    appendLog: (runId, lines) => logs.append(runId, lines),
    folder,
    labels: config.labels,
    graceMs: config.graceMs,
    attemptsMax: config.attemptsMax,
    env: config.env,
    workspaces: new Workspaces(join(config.data, "workspaces")),
    log,
  })
  attempts = () => engine.load
  parts.use(engine)
  url = config.advertise ?? advertisedUrl(api.url)
  await engine.start()
  const retention = parts.use(
    new Retention({
      store,
      data: config.data,
      drivers,
      hostId,
      limits: config,
      now: () => ({ wallMs: Date.now(), monotonicMs: performance.now() }),
      log,
    }),
  )
  retention.start()
  // Last: a run that waits at the door is not kept waiting for editors.
  editorFile.update()

  const running = parts.move()
  const stop = once(async () => {
    // The engine's word comes first, so that an attempt is known to have ended by the stop; then there is no grace.
    const engineStopped = engine[Symbol.asyncDispose]()
    await drivers[Symbol.asyncDispose]()
    await engineStopped
    // What is left needs no lease, and others need not wait for it.
    await loader[Symbol.asyncDispose]()
    await giveLeaseBack()
    await running.disposeAsync()
  })
  return {
    url: api.url,
    hostId,
    loaded: {
      drivers: drivers.list(),
      pipelines: loader.pipelines,
      faults: [...drivers.faults(), ...loader.faults()],
    },
    drain: async () => {
      await engine.drain(config.graceMs)
      await stop()
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

/** What each driver of this host takes and gives, by its key. */
function describeDrivers(hostId: string, drivers: DriverHost): ReadonlyMap<string, string> {
  const described = new Map<string, string>()
  for (const { hash } of drivers.list()) {
    const schemas = drivers.schemasOf(hash)
    if (Object.keys(schemas).length > 0) described.set(hostDriverKey(hostId, hash), JSON.stringify(schemas))
  }
  return described
}

/**
 * Marks the data folder as in use by a running host. Where the mark of an earlier one is still there, that one was
 * killed: what its attempts left running is ended before anything of theirs is run again. The folder must be locked.
 */
async function markRunning({ data, graceMs }: Config): Promise<{ unmark: () => Promise<void> }> {
  const mark = join(data, "running")
  if (await Bun.file(mark).exists()) await endOrphans(data, { graceMs })
  await Bun.write(mark, `${process.pid}\n`)
  return { unmark: () => rm(mark, { force: true }) }
}

function once<T>(action: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined
  return () => (result ??= action())
}
