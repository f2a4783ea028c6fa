/** The whole configuration of a host, validated, defaults applied, paths absolute. Frozen: nothing changes it later. */
export interface Config {
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** The data folder: store, logs, workspaces, driver bundles. */
  readonly data: string
  readonly drivers: string
  readonly pipelines: string
  readonly store: StoreConfig
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent"
  /** How long running attempts may go on after SIGTERM, and between an attempt's SIGTERM and SIGKILL. */
  readonly graceMs: number
  /** Attempts running at the same time on this host. */
  readonly attemptsMax: number
  /** How long a host that died keeps its claims. */
  readonly leaseTtlMs: number
}

export type StoreConfig =
  | { readonly type: "sqlite"; readonly file: string }
  | { readonly type: "memory" }
  | { readonly type: "etcd"; readonly endpoints: readonly string[]; readonly prefix: string }
