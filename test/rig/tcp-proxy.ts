import { connect, createServer, type Server, type Socket } from "node:net"

/** Which way: from whoever connects, or back to it. */
export type Direction = "there" | "back"

/**
 * A piece of network between clients and one server, that can be made bad. What is held back or delayed is not lost:
 * as on a network that retransmits, it arrives when the network is well again, unless the connection is cut.
 */
export interface TcpProxy extends AsyncDisposable {
  readonly endpoint: string
  /** From now on, bytes take this long, one way or both. */
  delay(ms: number, direction?: Direction): void
  /** From now on nothing arrives, one way or both, and nobody is told. */
  hold(direction?: Direction): void
  /** All connections are reset, and new ones too. */
  cut(): void
  /** The network is well again. */
  mend(): void
}

/** Starts a proxy for this endpoint on a free port. */
export async function startTcpProxy(target: string): Promise<TcpProxy> {
  const { hostname, port } = new URL(target)
  const network: Network = {
    delayMs: { there: 0, back: 0 },
    held: { there: false, back: false },
    isCut: false,
  }
  const flows = new Set<Flow>()
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    if (network.isCut) {
      client.resetAndDestroy()
      return
    }
    const upstream = connect(Number(port), hostname)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on("error", () => other.destroy())
      socket.on("close", () => sockets.delete(socket))
    }
    flow(client, upstream, "there")
    flow(upstream, client, "back")
  })

  function flow(from: Socket, to: Socket, direction: Direction): void {
    const one = new Flow(network, direction, to)
    flows.add(one)
    from.on("data", (chunk: Buffer) => one.carry(() => void to.write(chunk)))
    from.on("end", () => one.carry(() => void to.end()))
    from.on("close", () => flows.delete(one))
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const set = (change: (direction: Direction) => void, direction?: Direction) => {
    for (const one of direction === undefined ? (["there", "back"] as const) : [direction]) change(one)
    for (const one of flows) one.pump()
  }
  const resetAll = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return {
    endpoint: `http://127.0.0.1:${portOf(server)}`,
    delay: (ms, direction) =>
      set((one) => {
        network.delayMs[one] = ms
      }, direction),
    hold: (direction) =>
      set((one) => {
        network.held[one] = true
      }, direction),
    cut() {
      network.isCut = true
      resetAll()
    },
    mend() {
      network.isCut = false
      set((one) => {
        network.delayMs[one] = 0
        network.held[one] = false
      })
    },
    async [Symbol.asyncDispose]() {
      resetAll()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

interface Network {
  readonly delayMs: Record<Direction, number>
  readonly held: Record<Direction, boolean>
  isCut: boolean
}

/** What is on its way in one direction of one connection. */
class Flow {
  readonly #network: Network
  readonly #direction: Direction
  readonly #to: Socket
  readonly #parcels: { readonly since: number; readonly deliver: () => void }[] = []
  #timer: Timer | undefined

  constructor(network: Network, direction: Direction, to: Socket) {
    this.#network = network
    this.#direction = direction
    this.#to = to
  }

  carry(deliver: () => void): void {
    this.#parcels.push({ since: performance.now(), deliver })
    this.pump()
  }

  /** Delivers, in order, what has been on its way for long enough. */
  pump(): void {
    clearTimeout(this.#timer)
    if (this.#network.held[this.#direction] || this.#to.destroyed) return
    for (let first = this.#parcels[0]; first !== undefined; first = this.#parcels[0]) {
      const leftMs = first.since + this.#network.delayMs[this.#direction] - performance.now()
      if (leftMs > 0) {
        this.#timer = setTimeout(() => this.pump(), leftMs)
        return
      }
      this.#parcels.shift()
      first.deliver()
    }
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("A TCP server must have a port")
  return address.port
}
