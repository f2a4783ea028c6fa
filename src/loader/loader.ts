import { basename, resolve } from "node:path"
import { messageOf } from "../errors.ts"
import { createFolderWatch } from "../files/folder-watch.ts"
import type { HostLease } from "../hosts/host-lease.ts"
import type { Drift } from "../model/drift.ts"
import { describeFault, type Fault } from "../model/fault.ts"
import type { HostFile } from "../model/host-file.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import { follow } from "../store/follow.ts"
import { prefixes } from "../store/keys.ts"
import type { Store } from "../store/store.ts"
import { storeIdOf } from "../store/store-id.ts"
import { type AppliedFiles, applyFiles } from "./apply-files.ts"
import { type FolderMemory, noFolderMemory, openFolderMemory } from "./folder-memory.ts"
import { createFolderReader, type FolderContent } from "./folder-reader.ts"
import type { FolderView } from "./ownership.ts"
import { describeKind } from "./parse.ts"
import { createScanSchedule } from "./scan-schedule.ts"

/** How often the folder is looked at without a hint: what a watcher missed is seen then. */
const backstopMs = 2_000

export interface LoaderOptions {
  /** The pipelines folder. It need not be there yet. */
  readonly folder: string
  readonly store: Store
  /** What the folder says is published and written under it. While there is none, nothing is. */
  readonly lease: HostLease
  /**
   * The file in which is remembered what the folder was last seen with: what differs then was edited here, and not
   * elsewhere. Without it no other host can use the store, so every difference is an edit.
   */
  readonly memory?: string
  /** How long after its start the leases of hosts that died before may still live. Default: two lease times. */
  readonly settleMs?: number
  readonly log?: LoaderLog
  /** Milliseconds since 1970. */
  readonly now?: () => number
  /** Makes the ids of resource definitions. */
  readonly newId?: () => string
}

/** Where the loader says what it did, each thing once. */
export interface LoaderLog {
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/**
 * Keeps the store in step with the pipelines folder: what its files declare is in the store within 100 ms of the last
 * write, and a bad file leaves what it owned as it was. Where other hosts have folders of their own, edits are written
 * and other differences are drift, which is told and changes nothing; `decide.ts` says which is which. `start` it once;
 * dispose it before the lease and the store.
 */
export interface Loader extends AsyncDisposable {
  /** Resolves when the folder as it is now is in the store, or is a fault there. Rejects when the store does not answer. */
  start(): Promise<void>
  /** How many pipelines the files hold now. */
  readonly pipelines: number
  /** All that is wrong in the folder now, ordered by file. */
  faults(): readonly Fault[]
  /** Tells when another folder is in this place: it was not there before, or was made again. */
  onFolder(listener: () => void): void
}

/** Makes a loader. Nothing is read before its start. */
export function createLoader(options: LoaderOptions): Loader {
  return new FolderLoader(options)
}

class FolderLoader implements Loader {
  readonly #options: LoaderOptions
  readonly #now: () => number
  readonly #read: () => Promise<FolderContent>
  readonly #watch
  readonly #schedule
  #backstop: ReturnType<typeof setInterval> | undefined
  #settleTimer: ReturnType<typeof setTimeout> | undefined
  #isSettled = false
  /** The folder that is watched; another one in its place needs a new watch. */
  #identity: string | undefined
  readonly #folderListeners: (() => void)[] = []
  #isMissing = false
  /** The store does not say yet what the folder did at the last scan. */
  #isBehind = true
  /** The store may say something else since the last scan began. */
  #hasNews = false
  readonly #stop = new AbortController()
  #memory: FolderMemory = noFolderMemory()
  #present: ReadonlySet<string> = new Set()
  #applied: AppliedFiles = {
    pipelines: 0,
    faults: new Map(),
    drift: [],
    left: [],
    seen: new Map(),
    messages: [],
  }
  #troubleSaid = ""

  constructor(options: LoaderOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
    this.#read = createFolderReader(options.folder, this.#now)
    this.#schedule = createScanSchedule(() => this.#scanSafely(), this.#now)
    this.#watch = createFolderWatch(options.folder, {
      onHint: () => this.#hint(),
      // Kubernetes switches a mounted folder by its link "..data"; other dot folders (".git") only cost watches.
      ignores: (path) => /^\.(?!\.)/.test(basename(path)),
    })
  }

  get pipelines(): number {
    return this.#applied.pipelines
  }

  faults(): readonly Fault[] {
    return [...this.#applied.faults.values()].flatMap(({ faults }) => faults)
  }

  onFolder(listener: () => void): void {
    this.#folderListeners.push(listener)
  }

  async start(): Promise<void> {
    const { store, folder, lease, memory, settleMs = 2 * lease.ttlMs } = this.#options
    if (memory !== undefined) {
      if (settleMs > 0) this.#settleTimer = setTimeout(() => this.#settle(), settleMs)
      else this.#isSettled = true
      const of = { storeId: await storeIdOf(store), folder: resolve(folder) }
      this.#memory = await openFolderMemory(memory, of)
      await this.#followStore()
    }
    lease.listen({ onGained: () => this.#onNews() })
    await this.#scan()
    this.#backstop = setInterval(this.#schedule.hint, backstopMs)
    this.#backstop.unref()
    // For hints that came during the first scan.
    this.#schedule.hint()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#settleTimer)
    clearInterval(this.#backstop)
    await this.#schedule[Symbol.asyncDispose]()
    await this.#watch[Symbol.asyncDispose]()
  }

  /** Other hosts write what this folder may differ from, and say what they have. */
  async #followStore(): Promise<void> {
    const { store, log } = this.#options
    const { signal } = this.#stop
    const onError = (cause: unknown) =>
      log?.error(`The watch of the pipelines in the store failed; it is begun again: ${messageOf(cause)}`)
    for (const prefix of [prefixes.pipelines, prefixes.definitions, prefixes.hostFiles]) {
      const onNews = () => this.#onNews()
      await follow(store, {
        list: prefix,
        watch: prefix,
        signal,
        onError,
        onListing: onNews,
        onChanges: onNews,
      })
    }
  }

  #settle(): void {
    this.#isSettled = true
    this.#onNews()
  }

  #onNews(): void {
    this.#hasNews = true
    this.#hint()
  }

  #hint(): void {
    if (this.#backstop !== undefined) this.#schedule.hint()
  }

  async #scanSafely(): Promise<void> {
    try {
      await this.#scan()
      this.#troubleSaid = ""
    } catch (thrown) {
      this.#isBehind = true
      const trouble = `The pipelines folder could not be brought into the store; trying again: ${messageOf(thrown)}`
      if (trouble !== this.#troubleSaid) this.#options.log?.error(trouble)
      this.#troubleSaid = trouble
    }
  }

  async #scan(): Promise<void> {
    const content = await this.#read()
    if (content.type === "missing") {
      this.#sayMissing(content.reason)
      return
    }
    this.#isMissing = false
    if (this.#identity !== content.identity) {
      this.#watch.renew()
      this.#identity = content.identity
      for (const listener of this.#folderListeners) listener()
    }
    if (!content.changed && !this.#isBehind && !this.#hasNews) return
    this.#isBehind = true
    this.#hasNews = false
    const vanished = [...this.#present].filter((file) => !content.files.has(file))
    this.#present = new Set(content.files.keys())
    const applied = await this.#apply(viewOf(content, new Set(vanished)))
    if (applied === undefined) return
    this.#say(applied)
    this.#applied = applied
    await this.#memory.keep(applied.seen)
    // A file that is gone is believed to be gone when it is so twice: some editors delete before they write.
    this.#isBehind = vanished.length > 0
    if (vanished.length > 0) this.#schedule.hint()
  }

  #apply(folder: FolderView): Promise<AppliedFiles | undefined> {
    const { store, lease, memory, newId = Bun.randomUUIDv7 } = this.#options
    return applyFiles(store, folder, {
      lease,
      signal: this.#stop.signal,
      alone: memory === undefined,
      seen: this.#memory.seen,
      settled: this.#isSettled,
      now: () => new Date(this.#now()).toISOString(),
      newId: () => newId(),
    })
  }

  #sayMissing(reason: string): void {
    if (this.#isMissing) return
    this.#isMissing = true
    this.#identity = undefined
    // From now on it hears when the folder comes into being.
    this.#watch.renew()
    const { folder, log } = this.#options
    const why = reason === "ENOENT" ? "is not there" : `cannot be read (${reason})`
    log?.warn(`The pipelines folder ${folder} ${why}; what its files declared before stays`)
  }

  /** Says what was done, the faults that are new and the files that are mended. */
  #say(applied: AppliedFiles): void {
    const { log } = this.#options
    for (const message of applied.messages) log?.info(message)
    const leftBefore = this.#applied.left
    for (const message of applied.left) if (!leftBefore.includes(message)) log?.info(message)
    const before = this.#applied.faults
    for (const [file, found] of applied.faults) {
      if (textOf(found) === textOf(before.get(file))) continue
      for (const fault of found.faults) log?.error(describeFault(fault))
    }
    for (const file of before.keys()) if (!applied.faults.has(file)) log?.info(`${file} is mended, or gone`)
    this.#sayDrift(applied.drift)
  }

  #sayDrift(drift: readonly Drift[]): void {
    const { log } = this.#options
    const said = new Set(this.#applied.drift.map(describeDrift))
    const now = new Set(drift.map(describeDrift))
    for (const sentence of now) if (!said.has(sentence)) log?.warn(sentence)
    const nameOf = ({ kind, name }: Drift) => `${describeKind(kind)} "${name}"`
    const drifting = new Set(drift.map(nameOf))
    for (const over of this.#applied.drift) {
      if (!drifting.has(nameOf(over))) log?.info(`The ${nameOf(over)} here drifts no more`)
    }
  }
}

function viewOf(content: FolderContent & { type: "present" }, vanished: ReadonlySet<string>): FolderView {
  const { files, unreadableFolders } = content
  return {
    files,
    isUncertain(file) {
      if (unreadableFolders.some((folder) => file.startsWith(`${folder}/`))) return "unreadable"
      return vanished.has(file) ? "vanished" : undefined
    },
  }
}

/** One sentence of what a host should be told of a drift. */
function describeDrift({ kind, name, file, here, store, heldBy }: Drift): string {
  const holders = heldBy.length === 0 ? "no live host has in its folder" : `${heldBy.join(", ")} has`
  return `${file}: the ${describeKind(kind)} "${name}" drifts: here it is ${here.slice(0, 12)}, in the store ${store.slice(0, 12)}, which ${holders}. Runs use the store's; an edit of the file here replaces it`
}

function textOf(faults: HostFile | undefined): string {
  return faults === undefined ? "" : canonicalJson(faults as unknown as Json)
}
