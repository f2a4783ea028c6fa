import type { EtcdRig } from "../../rig/etcd.ts"
import type { Random } from "../../rig/random.ts"
import type { HostSlot } from "./host-slot.ts"
import type { SoakFiles } from "./soak-files.ts"

export interface SoakTroubleOptions {
  readonly slots: readonly HostSlot[]
  readonly files: SoakFiles
  /** The etcd, when it is the soak's own. */
  readonly etcd: EtcdRig | undefined
  readonly random: Random
  readonly leaseTtlMs: number
  /** Between two faults, on average. */
  readonly everyMs: number
  /** This host is about to be out of reach: what it does others may have to take over. */
  readonly onDown: (hostId: string) => void
}

const kinds = ["kill", "kill", "pause", "pause", "drain", "etcd", "edit", "edit"] as const

/** What goes wrong in a soak, at random. */
export class SoakTrouble {
  readonly #options: SoakTroubleOptions
  readonly #underWay = new Set<Promise<void>>()
  #etcdBusy = false
  readonly counts = { kills: 0, pauses: 0, drains: 0, etcdFaults: 0, edits: 0 }

  constructor(options: SoakTroubleOptions) {
    this.#options = options
  }

  /** Makes trouble until the signal aborts; resolves when all that was stopped goes on again. */
  async strikeUntil(signal: AbortSignal): Promise<void> {
    const { random, everyMs } = this.#options
    while (!signal.aborted) {
      await Bun.sleep(random.below(2 * everyMs))
      const trouble = this.#strike().finally(() => this.#underWay.delete(trouble))
      this.#underWay.add(trouble)
    }
    await Promise.all(this.#underWay)
  }

  async #strike(): Promise<void> {
    const { random, files } = this.#options
    const kind = random.pick(kinds)
    if (kind === "edit") {
      this.counts.edits++
      await (random.chance(0.5) ? files.editDrivers() : files.editPipelines())
    } else if (kind === "etcd") {
      await this.#strikeEtcd()
    } else {
      await this.#strikeHost(kind)
    }
  }

  async #strikeHost(kind: "kill" | "pause" | "drain"): Promise<void> {
    const { random, slots, leaseTtlMs, onDown } = this.#options
    const slot = random.pick(slots)
    const { hostId } = slot
    if (slot.busy || slot.url === undefined || hostId === undefined) return
    slot.busy = true
    onDown(hostId)
    switch (kind) {
      case "kill":
        this.counts.kills++
        await slot.kill(random.below(2 * leaseTtlMs))
        break
      case "pause":
        this.counts.pauses++
        await slot.pause(random.below(3 * leaseTtlMs))
        break
      case "drain":
        this.counts.drains++
        await slot.restart()
        break
      default:
        kind satisfies never
    }
    slot.busy = false
  }

  /** Killed, or stopped where it is; shorter than a lease, or longer. */
  async #strikeEtcd(): Promise<void> {
    const { random, etcd, leaseTtlMs } = this.#options
    if (etcd === undefined || this.#etcdBusy) return
    this.#etcdBusy = true
    this.counts.etcdFaults++
    const downMs = random.below(1.5 * leaseTtlMs)
    if (random.chance(0.5)) {
      await etcd.kill()
      await Bun.sleep(downMs)
      await etcd.restart()
    } else {
      await etcd.pause()
      await Bun.sleep(downMs)
      etcd.resume()
    }
    this.#etcdBusy = false
  }
}
