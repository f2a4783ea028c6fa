import type { Etcd3 } from "etcd3"
import { callMsMaxDefault, connect, type EtcdOptions } from "./etcd-client.ts"

/** The member that all calls go to now. */
export interface EtcdMember {
  readonly client: Etcd3
  /** Aborts when calls go to another one from now on: what is open here would tell nothing any more, and not say so. */
  readonly left: AbortSignal
}

/**
 * The members of an etcd, with a client for each. All calls go to one of them, the first to begin with, until it breaks
 * or does not answer, then to the next: a member that is gone or hangs costs one call, not every third one.
 */
export class EtcdMembers {
  readonly callMsMax: number
  /** Their addresses, for people. */
  readonly places: string
  readonly #clients: readonly Etcd3[]
  #at = 0
  #leaving = new AbortController()

  constructor(options: EtcdOptions) {
    this.callMsMax = options.callMsMax ?? callMsMaxDefault
    this.places = options.endpoints.map((endpoint) => endpoint.replace(/^https?:\/\//, "")).join(", ")
    this.#clients = options.endpoints.map((endpoint) => connect({ ...options, endpoints: [endpoint] }))
  }

  get count(): number {
    return this.#clients.length
  }

  get current(): EtcdMember {
    return { client: this.#clients[this.#at] as Etcd3, left: this.#leaving.signal }
  }

  /** All of them, the current one first. */
  inTurn(): readonly Etcd3[] {
    return [...this.#clients.slice(this.#at), ...this.#clients.slice(0, this.#at)]
  }

  /** This one did not answer. Nothing happens when calls go elsewhere already, or there is nowhere to go. */
  leave(client: Etcd3): void {
    if (this.#clients[this.#at] === client) this.#moveTo((this.#at + 1) % this.count)
  }

  /** This one did answer. */
  turnTo(client: Etcd3): void {
    this.#moveTo(this.#clients.indexOf(client))
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }

  #moveTo(index: number): void {
    if (index === this.#at) return
    this.#at = index
    this.#leaving.abort()
    this.#leaving = new AbortController()
  }
}
