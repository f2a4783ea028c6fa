import type { DriverHost } from "../drivers/driver-host.ts"
import type { DriverBundle } from "../model/driver.ts"
import { driverBundleKey, driverBundlePartKey } from "../store/keys.ts"
import type { Store } from "../store/store.ts"

/** Characters of a bundle in one entry of the store. A character takes 3 bytes at most, so an entry fits a commit. */
const partLength = 400_000
/** The largest bundle kept in the store, in characters. A larger one stays on the hosts that have its file. */
const bundleLengthMax = 32_000_000

/**
 * The code of drivers in the store, by hash: what lets a run finish on the code it started with on any host. A bundle
 * is written before a run is pinned to it, its parts before the record that says how many there are. None of it is
 * fenced by the host's lease: what stands under a hash is the same, whoever writes it.
 */
export class DriverBundles {
  readonly #store: Store
  readonly #drivers: DriverHost
  /** Code that is on its way into the store. Runs that are pinned to it at once share one way, and leave it in turn. */
  readonly #keeping = new Map<string, Promise<void>>()
  /** Code that was seen in the store, and is not looked for again before {@link lookAgain}. */
  readonly #kept = new Set<string>()
  readonly #missing = new Set<string>()
  readonly #fetching = new Set<string>()

  constructor(store: Store, drivers: DriverHost) {
    this.#store = store
    this.#drivers = drivers
  }

  /** Resolves when the code of these hashes is in the store, as far as this host has it and it can be kept. */
  async keep(hashes: Iterable<string>): Promise<void> {
    for (const hash of hashes) {
      if (!this.#kept.has(hash)) await (this.#keeping.get(hash) ?? this.#begin(hash))
    }
  }

  #begin(hash: string): Promise<void> {
    const keeping = this.#write(hash)
      .then(() => void this.#kept.add(hash))
      .finally(() => this.#keeping.delete(hash))
    this.#keeping.set(hash, keeping)
    return keeping
  }

  async #write(hash: string): Promise<void> {
    if ((await this.#store.get(driverBundleKey(hash))) !== undefined) return
    const text = await this.#drivers.bundleOf(hash)
    if (text === undefined || text.length > bundleLengthMax) return
    const parts = partsOf(text)
    for (const [index, value] of parts.entries()) {
      await this.#store.commit([], [{ type: "put", key: driverBundlePartKey(hash, index), value }])
    }
    const bundle: DriverBundle = { hash, parts: parts.length, createdAt: new Date().toISOString() }
    await this.#store.commit([], [{ type: "put", key: driverBundleKey(hash), value: JSON.stringify(bundle) }])
  }

  /** Might the store hold this code? True until it was looked for in vain. */
  mayHold(hash: string): boolean {
    return !this.#missing.has(hash)
  }

  /**
   * Hosts or drivers came or went. Whoever came may have brought code, so what was missing is looked for again; what no
   * host served for a while may have been collected, so what was kept is looked for too.
   */
  lookAgain(): void {
    this.#missing.clear()
    this.#kept.clear()
  }

  /** Brings the code here. Answers whether this call ended the search; false while another one is under way. */
  async fetch(hash: string): Promise<boolean> {
    if (this.#fetching.has(hash)) return false
    this.#fetching.add(hash)
    try {
      const text = await this.#read(hash)
      if (text === undefined) this.#missing.add(hash)
      else await this.#drivers.adopt(hash, text)
      return true
    } finally {
      this.#fetching.delete(hash)
    }
  }

  async #read(hash: string): Promise<string | undefined> {
    const entry = await this.#store.get(driverBundleKey(hash))
    if (entry === undefined) return undefined
    const { parts } = JSON.parse(entry.value) as DriverBundle
    const texts: string[] = []
    for (let index = 0; index < parts; index++) {
      const part = await this.#store.get(driverBundlePartKey(hash, index))
      if (part === undefined) return undefined
      texts.push(part.value)
    }
    return texts.join("")
  }
}

/** Cuts between characters, never inside a surrogate pair: a part must be well-formed by itself. */
function partsOf(text: string): string[] {
  const parts: string[] = []
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + partLength, text.length)
    const last = text.charCodeAt(end - 1)
    if (end < text.length && last >= 0xd800 && last <= 0xdbff) end--
    parts.push(text.slice(start, end))
    start = end
  }
  return parts
}
