import { type Drift, driftOf } from "../model/drift.ts"
import { type DeclaredContent, type HostFile, HostFiles } from "../model/host-file.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import { type DefinitionSource, definitionHash, type ResourceDefinition } from "../model/resource.ts"
import { definitionKey, pipelineKey } from "../store/keys.ts"
import type { Revision } from "../store/store.ts"
import { decideDeclared, decideGone, type Seen } from "./decide.ts"
import { hostFilesOf, publications } from "./host-files.ts"
import { type DeclaredName, decideOwnership, declaredName, type FolderView } from "./ownership.ts"
import { type Declaration, describeKind } from "./parse.ts"

/** A value of the store and its last write. */
export interface Stored<T> {
  readonly value: T
  readonly modRevision: Revision
}

/** All that the store holds of what files declare. */
export interface ObservedStore {
  /** By name. */
  readonly pipelines: ReadonlyMap<string, Stored<PipelineRecord>>
  /** By name. */
  readonly definitions: ReadonlyMap<string, Stored<ResourceDefinition>>
  /** What the folders of all live hosts say, this one's too, by {@link hostFileKey}. */
  readonly files: ReadonlyMap<string, Stored<HostFile>>
}

/** One key to write or delete, guarded by what was observed, and what to say of it when it is done. */
export interface FileChange {
  readonly key: string
  readonly observed: Revision
  /** Absent: the key is deleted. */
  readonly value?: PipelineRecord | ResourceDefinition | HostFile
  /** For the log; absent where nothing need be said. */
  readonly message?: string
}

export interface FilePlan {
  /** What to publish of this folder. Other hosts must see it before anything is decided on what they say. */
  readonly publications: readonly FileChange[]
  /** What to write, the changes of one file beside each other. Empty when the store is as it is to be. */
  readonly changes: readonly FileChange[]
  /** What is deleted here and stays, because another host has it. For the log. */
  readonly left: readonly string[]
  /** The files of this folder that are refused, by name. */
  readonly faults: ReadonlyMap<string, HostFile>
  /** What this folder has otherwise than the store, once the changes are made. */
  readonly drift: readonly Drift[]
  /** What to remember of this folder, once the changes are made. */
  readonly seen: ReadonlyMap<DeclaredName, Seen>
  /** How many pipelines the files hold. */
  readonly pipelines: number
}

/** What a plan takes from outside. */
export interface PlanContext {
  readonly hostId: string
  /** Can no other host use this store? Then the folder is the truth, and nothing of it is remembered. */
  readonly alone: boolean
  /** What this folder was last seen with. */
  readonly seen: ReadonlyMap<DeclaredName, Seen>
  /** Has this host been there long enough for the leases of the dead to have ended? */
  readonly settled: boolean
  /** ISO 8601. */
  readonly now: string
  readonly newId: () => string
}

/** What must be written so that the store says what the folder does, as far as `decide.ts` lets it. Pure, but for new ids. */
export function planFiles(folder: FolderView, observed: ObservedStore, context: PlanContext): FilePlan {
  const stored = storedNames(observed)
  const owned = ownedNames(stored, { folder, context })
  const ownership = decideOwnership(folder, owned)
  const own = hostFilesOf(folder, { ownership, owned, hostId: context.hostId })
  const others = [...observed.files.values()]
    .map(({ value }) => value)
    .filter(({ hostId }) => hostId !== context.hostId)
  const elsewhere = new HostFiles(others)

  const changes: FileChange[] = []
  const seen = new Map<DeclaredName, Seen>()
  const drifting = new Set<DeclaredName>()
  const holdings = [...ownership.holdings].sort(([, a], [, b]) =>
    a.file < b.file ? -1 : a.file > b.file ? 1 : 0,
  )
  for (const [name, { file, declaration }] of holdings) {
    const before = context.seen.get(name)
    if (declaration === undefined) {
      if (before !== undefined) seen.set(name, before)
      continue
    }
    const here = { file, hash: declaration.hash }
    const { kind, name: bare } = declaration
    const there = stored.get(name)
    const heldElsewhere = there !== undefined && elsewhere.mayHold({ kind, name: bare, hash: there.hash })
    const verdict = decideDeclared(here, { stored: there, seen: before, heldElsewhere })
    if (verdict === "write") changes.push(putOf(declaration, { file, observed, context }))
    if (verdict === "drift") drifting.add(name)
    const isNew = verdict === "drift" && !context.settled && (before?.isNew ?? before === undefined)
    seen.set(name, isNew ? { ...here, isNew } : here)
  }

  const left: string[] = []
  for (const [name, { file, kind, name: bare, modRevision }] of stored) {
    if (file === undefined || ownership.holdings.has(name)) continue
    const before = context.seen.get(name)
    const what = `${before?.file ?? file} no longer declares the ${describeKind(kind)} "${bare}"`
    const fate = decideGone(name, { seen: before, others: elsewhere, alone: context.alone })
    if (fate === "delete")
      changes.push({ key: keyOf(kind, bare), observed: modRevision, message: `${what}: deleted` })
    if (fate !== "left to others") continue
    left.push(`${what}; it stays, because another host has it: ${elsewhere.having(bare).join(", ")}`)
    if (before !== undefined && !context.settled) seen.set(name, before)
  }

  const drift = driftOf([...own.values(), ...others], ({ kind, name }) => {
    const id = declaredName(kind, name)
    return drifting.has(id) ? stored.get(id)?.hash : undefined
  })
  return {
    publications: publications(own, { folder, hostId: context.hostId, published: observed.files }),
    changes,
    left,
    faults: new Map([...own].filter(([, { faults }]) => faults.length > 0)),
    drift: drift.get(context.hostId) ?? [],
    seen,
    pipelines: holdings.filter(([name]) => name.startsWith("pipeline ")).length,
  }
}

interface StoredName extends DeclaredContent {
  readonly file?: string
  readonly modRevision: Revision
}

function storedNames({ pipelines, definitions }: ObservedStore): ReadonlyMap<DeclaredName, StoredName> {
  const stored = new Map<DeclaredName, StoredName>()
  const add = (content: DeclaredContent, { file }: { readonly file?: string }, modRevision: Revision) =>
    stored.set(declaredName(content.kind, content.name), {
      ...content,
      ...(file === undefined ? {} : { file }),
      modRevision,
    })
  for (const [name, { value, modRevision }] of pipelines)
    add({ kind: "pipeline", name, hash: value.hash }, value, modRevision)
  for (const [name, { value, modRevision }] of definitions)
    add({ kind: "definition", name, hash: definitionHash(value) }, value, modRevision)
  return stored
}

/** Which file of this folder has owned a name until now: the one it was last seen in, else the one the store names. */
function ownedNames(
  stored: ReadonlyMap<DeclaredName, StoredName>,
  { folder, context }: { readonly folder: FolderView; readonly context: PlanContext },
): ReadonlyMap<DeclaredName, string> {
  const owned = new Map<DeclaredName, string>()
  for (const [name, { file }] of context.seen) owned.set(name, file)
  for (const [name, { file }] of stored) {
    if (file === undefined || owned.has(name)) continue
    const isHere = folder.files.has(file) || folder.isUncertain(file) !== undefined
    if (context.alone || isHere) owned.set(name, file)
  }
  return owned
}

function keyOf(kind: Declaration["kind"], name: string): string {
  return kind === "pipeline" ? pipelineKey(name) : definitionKey(name)
}

function putOf(
  declaration: Declaration,
  {
    file,
    observed,
    context: { now, newId },
  }: { readonly file: string; readonly observed: ObservedStore; readonly context: PlanContext },
): FileChange {
  const key = keyOf(declaration.kind, declaration.name)
  switch (declaration.kind) {
    case "pipeline": {
      const { name, pipeline, hash } = declaration
      const before = observed.pipelines.get(name)
      const at = { createdAt: before?.value.createdAt ?? now, updatedAt: now }
      const value: PipelineRecord = { pipeline, hash, file, ...at }
      const message = describePut(declaration, file, before?.value)
      return { key, observed: before?.modRevision ?? 0, value, message }
    }
    case "definition": {
      const { name, definition } = declaration
      const before = observed.definitions.get(name)
      const at = { createdAt: before?.value.createdAt ?? now, updatedAt: now }
      const id = before?.value.id ?? newId()
      const value: ResourceDefinition = { id, ...definitionContent(definition), file, ...at }
      const message = describePut(declaration, file, before?.value)
      return { key, observed: before?.modRevision ?? 0, value, message }
    }
    default:
      return declaration satisfies never
  }
}

function describePut(declaration: Declaration, file: string, before: { file?: string } | undefined): string {
  const what = `${describeKind(declaration.kind)} "${declaration.name}"`
  if (before === undefined) return `${file} declares the ${what}`
  if (before.file === undefined) return `${file} takes over the ${what}, which came through the API`
  return before.file === file
    ? `${file} changed the ${what}`
    : `${file} now declares the ${what}, as ${before.file} did`
}

function definitionContent({ name, description, version, schema }: DefinitionSource) {
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(version === undefined ? {} : { version }),
    schema,
  }
}
