/*
 * Every key there is. Parts are names or UUIDs, which hold no "/", so keys need no escaping.
 *
 *   definitions/<name>                       ResourceDefinition
 *   pipelines/<name>                         PipelineRecord: what new runs start with
 *   pipeline-revisions/<hash>                Pipeline: what runs are pinned to
 *   driver-bundles/<hash>                    DriverBundle: the code of a driver that runs are pinned to
 *   driver-bundle-parts/<hash>/<n>           its text, in pieces
 *   resources/<type>/<name>                  Resource: the newest version
 *   resource-versions/<type>/<name>/<n>      Resource: each earlier version, and the last one of a deleted resource
 *   idempotency/<hash>                       IdempotencyRecord: the first answer to a client's own key
 *   concurrency/<hash>                       ConcurrencyRecord: who holds a concurrency key, and who waits for it
 *   hosts/<hostId>                           HostRecord, leased
 *   host-drivers/<hostId>/<hash>             DriverSchemas, leased: what a driver of that host takes and gives
 *   host-leases/<hostId>                     "", leased, put once for each lease: guards what is written under it
 *   host-files/<hostId>/<file>               HostFile, leased: what a file of that host's pipelines folder says
 *   retention/collector                      the id of the host that collects what need not be kept, leased
 *   retention/store                          the id of this store: data folders remember whose runs their files are of
 *   runs/header/<runId>                      Run
 *   runs/active/<runId>                      "": a mark on every run that has not ended
 *   runs/step/<runId>/<stepId>               StepState
 *   runs/claim/<runId>/<stepId>              Claim, leased
 *   move                                     MoveRecord: while entries are moved into this store, and no host may start
 *
 * Keys of one run that change together lie together (a run's id sorts by time), and all that the engine watches of
 * runs lies under one prefix, so that one watch sees it in order.
 */

export const prefixes = {
  definitions: "definitions/",
  pipelines: "pipelines/",
  pipelineRevisions: "pipeline-revisions/",
  driverBundles: "driver-bundles/",
  driverBundleParts: "driver-bundle-parts/",
  resources: "resources/",
  resourceVersions: "resource-versions/",
  idempotency: "idempotency/",
  concurrency: "concurrency/",
  hosts: "hosts/",
  hostDrivers: "host-drivers/",
  hostLeases: "host-leases/",
  hostFiles: "host-files/",
  runs: "runs/",
  runHeaders: "runs/header/",
  activeRuns: "runs/active/",
  runSteps: "runs/step/",
} as const

export const moveKey = "move"
export const definitionKey = (name: string) => `definitions/${name}`
export const pipelineKey = (name: string) => `pipelines/${name}`
export const pipelineRevisionKey = (hash: string) => `pipeline-revisions/${hash}`
export const driverBundleKey = (hash: string) => `driver-bundles/${hash}`
export const driverBundlePartKey = (hash: string, part: number) =>
  `driver-bundle-parts/${hash}/${String(part).padStart(6, "0")}`
export const resourcesPrefix = (type: string) => `resources/${type}/`
export const resourceKey = (type: string, name: string) => `resources/${type}/${name}`
export const resourceVersionsPrefix = (type: string, name: string) => `resource-versions/${type}/${name}/`
/** Versions are padded so that they sort as numbers. */
export const resourceVersionKey = (type: string, name: string, version: number) =>
  `resource-versions/${type}/${name}/${String(version).padStart(10, "0")}`
/** `hash` is of what the client's key is for and of the key itself, which may hold "/". */
export const idempotencyKey = (hash: string) => `idempotency/${hash}`
/** `key` is what a pipeline's expression gave, any text. */
export const concurrencyKey = (key: string) =>
  `concurrency/${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`
export const collectorKey = "retention/collector"
export const storeIdKey = "retention/store"
export const hostLeaseKey = (hostId: string) => `host-leases/${hostId}`
export const hostDriverKey = (hostId: string, hash: string) => `host-drivers/${hostId}/${hash}`
/** `file` is relative to the pipelines folder and may hold "/". */
export const hostFileKey = (hostId: string, file: string) => `host-files/${hostId}/${file}`
export const hostKey = (hostId: string) => `hosts/${hostId}`
export const runKey = (runId: string) => `runs/header/${runId}`
export const activeRunKey = (runId: string) => `runs/active/${runId}`
export const stepsPrefix = (runId: string) => `runs/step/${runId}/`
export const stepKey = (runId: string, stepId: string) => `runs/step/${runId}/${stepId}`
export const claimsPrefix = (runId: string) => `runs/claim/${runId}/`
export const claimKey = (runId: string, stepId: string) => `runs/claim/${runId}/${stepId}`

/** What a key under `runs/` is about; undefined for one this version does not know. */
export type RunKey =
  | { readonly type: "header" | "active"; readonly runId: string }
  | { readonly type: "step" | "claim"; readonly runId: string; readonly stepId: string }

/** Reads a key under {@link prefixes.runs}. */
export function parseRunKey(key: string): RunKey | undefined {
  const [, type, runId, stepId] = key.split("/")
  if (runId === undefined) return undefined
  if (type === "header" || type === "active") return { type, runId }
  if ((type === "step" || type === "claim") && stepId !== undefined) return { type, runId, stepId }
  return undefined
}
