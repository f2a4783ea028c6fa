import type { Fault } from "./fault.ts"

/** What files declare. */
export type DeclaredKind = "pipeline" | "definition"

/** The identity of one thing that a file declares. */
export interface DeclaredContent {
  readonly kind: DeclaredKind
  readonly name: string
  /** Of what it says, not of how it is written. */
  readonly hash: string
}

/** What one file of a host's pipelines folder says, as that host publishes it for as long as its lease lives. */
export interface HostFile {
  readonly hostId: string
  /** Relative to the pipelines folder, with "/" between its parts. */
  readonly file: string
  /** Nothing when the file is refused. */
  readonly declares: readonly DeclaredContent[]
  /** The pipelines and resource definitions it declares, as far as it can be read, and those it goes on owning. Sorted. */
  readonly names: readonly string[]
  /** Why it is refused, when it is. The last good version of what it owns serves meanwhile. */
  readonly faults: readonly Fault[]
}

/** The files of several hosts, by what they declare. */
export class HostFiles {
  readonly #byName = new Map<string, HostFile[]>()

  constructor(files: Iterable<HostFile>) {
    for (const file of files) {
      for (const name of file.names) {
        const known = this.#byName.get(name)
        if (known === undefined) this.#byName.set(name, [file])
        else known.push(file)
      }
    }
  }

  /** The hosts in whose folder this very content is. Sorted, as all here. */
  holders({ kind, name, hash }: DeclaredContent): readonly string[] {
    return hostsOf(
      this.#of(name).filter(({ declares }) =>
        declares.some((one) => one.kind === kind && one.name === name && one.hash === hash),
      ),
    )
  }

  /** The hosts in whose folder something of this name is, also where its file is refused. */
  having(name: string): readonly string[] {
    return hostsOf(this.#of(name))
  }

  /** May this content be in a folder? It may be what a file held that is refused now. */
  mayHold(content: DeclaredContent): boolean {
    return (
      this.holders(content).length > 0 || this.#of(content.name).some(({ declares }) => declares.length === 0)
    )
  }

  #of(name: string): readonly HostFile[] {
    return this.#byName.get(name) ?? []
  }
}

function hostsOf(files: readonly HostFile[]): readonly string[] {
  return [...new Set(files.map(({ hostId }) => hostId))].sort()
}
