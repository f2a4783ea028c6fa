import type { FileFaults } from "../model/file-faults.ts"
import { canonicalJson, type Json } from "../model/json.ts"
import type { PipelineRecord } from "../model/pipeline.ts"
import type { DefinitionSource, ResourceDefinition } from "../model/resource.ts"
import { definitionKey, fileFaultsKey, pipelineKey } from "../store/keys.ts"
import type { Revision } from "../store/store.ts"
import {
  type DeclaredName,
  decideOwnership,
  declaredName,
  type FolderView,
  type Holding,
} from "./ownership.ts"
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
  /** By file. */
  readonly faults: ReadonlyMap<string, Stored<FileFaults>>
}

/** One key to write or delete, guarded by what was observed, and what to say of it when it is done. */
export interface FileChange {
  readonly key: string
  readonly observed: Revision
  /** Absent: the key is deleted. */
  readonly value?: PipelineRecord | ResourceDefinition | FileFaults
  /** For the log; absent where nothing need be said. */
  readonly message?: string
}

export interface FilePlan {
  /** What to write, the changes of one file beside each other. Empty when the store is as the folder says. */
  readonly changes: readonly FileChange[]
  /** All that is wrong in the folder now, by file. */
  readonly faults: ReadonlyMap<string, FileFaults>
  /** How many pipelines the files hold. */
  readonly pipelines: number
}

/** What a plan takes from outside. */
export interface PlanClock {
  /** ISO 8601. */
  readonly now: string
  readonly newId: () => string
}

/** What must be written so that the store says what the folder does. Pure, but for new ids. */
export function planFiles(folder: FolderView, observed: ObservedStore, clock: PlanClock): FilePlan {
  const owned = ownedNames(observed)
  const { holdings, refused } = decideOwnership(folder, owned)
  const faults = new Map(
    [...refused].map(([file, found]): [string, FileFaults] => {
      const declared = folder.files.get(file)?.names ?? []
      const kept = [...owned].filter(([, owner]) => owner === file).map(([name]) => bareName(name))
      return [file, { file, names: [...new Set([...declared, ...kept])].sort(), faults: found }]
    }),
  )
  const puts = [...holdings.values()]
    .sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))
    .flatMap((holding) => putChange(holding, observed, clock))
  return {
    changes: [
      ...puts,
      ...deleteChanges(holdings, owned, observed),
      ...faultChanges(faults, folder, observed),
    ],
    faults,
    pipelines: [...holdings.keys()].filter(isPipeline).length,
  }
}

function ownedNames(observed: ObservedStore): ReadonlyMap<DeclaredName, string> {
  const owned = new Map<DeclaredName, string>()
  for (const [name, { value }] of observed.pipelines) {
    if (value.file !== undefined) owned.set(declaredName("pipeline", name), value.file)
  }
  for (const [name, { value }] of observed.definitions) {
    if (value.file !== undefined) owned.set(declaredName("definition", name), value.file)
  }
  return owned
}

function isPipeline(name: DeclaredName): boolean {
  return name === declaredName("pipeline", bareName(name))
}

function bareName(name: DeclaredName): string {
  return name.slice(name.indexOf(" ") + 1)
}

function putChange(
  { file, declaration }: Holding,
  observed: ObservedStore,
  clock: PlanClock,
): readonly FileChange[] {
  if (declaration === undefined) return []
  switch (declaration.kind) {
    case "pipeline": {
      const before = observed.pipelines.get(declaration.name)
      const same = before?.value.hash === declaration.hash && before.value.file === file
      return same ? [] : [put(pipelineKey(declaration.name), before, pipelineRecord(declaration))]
    }
    case "definition": {
      const before = observed.definitions.get(declaration.name)
      const same = before !== undefined && before.value.file === file && isSame(before.value, declaration)
      return same
        ? []
        : [put(definitionKey(declaration.name), before, definitionRecord(declaration.definition))]
    }
    default:
      return declaration satisfies never
  }

  function put<T extends PipelineRecord | ResourceDefinition>(
    key: string,
    before: Stored<T> | undefined,
    record: (before: T | undefined) => T,
  ): FileChange {
    const message = describePut(declaration as Declaration, file, before?.value)
    return { key, observed: before?.modRevision ?? 0, value: record(before?.value), message }
  }

  function pipelineRecord({ pipeline, hash }: Declaration & { kind: "pipeline" }) {
    return (before: PipelineRecord | undefined): PipelineRecord => ({
      pipeline,
      hash,
      file,
      createdAt: before?.createdAt ?? clock.now,
      updatedAt: clock.now,
    })
  }

  function definitionRecord(source: DefinitionSource) {
    return (before: ResourceDefinition | undefined): ResourceDefinition => ({
      id: before?.id ?? clock.newId(),
      ...definitionContent(source),
      file,
      createdAt: before?.createdAt ?? clock.now,
      updatedAt: clock.now,
    })
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

function isSame(before: ResourceDefinition, { definition }: Declaration & { kind: "definition" }): boolean {
  const { name, description, version, schema } = before
  const kept = { name, description, version, schema } as DefinitionSource
  return canonicalJson(definitionContent(kept)) === canonicalJson(definitionContent(definition))
}

function deleteChanges(
  holdings: ReadonlyMap<DeclaredName, Holding>,
  owned: ReadonlyMap<DeclaredName, string>,
  observed: ObservedStore,
): FileChange[] {
  const released = [...owned].filter(([name]) => !holdings.has(name))
  return released.flatMap(([name, file]) => {
    const bare = bareName(name)
    const pipeline = isPipeline(name)
    const before = pipeline ? observed.pipelines.get(bare) : observed.definitions.get(bare)
    if (before === undefined) return []
    const key = pipeline ? pipelineKey(bare) : definitionKey(bare)
    const what = describeKind(pipeline ? "pipeline" : "definition")
    return [
      {
        key,
        observed: before.modRevision,
        message: `${file} no longer declares the ${what} "${bare}": deleted`,
      },
    ]
  })
}

function faultChanges(
  faults: ReadonlyMap<string, FileFaults>,
  folder: FolderView,
  observed: ObservedStore,
): FileChange[] {
  const puts = [...faults].flatMap(([file, value]) => {
    const before = observed.faults.get(file)
    if (before !== undefined && isSameJson(before.value, value)) return []
    return [{ key: fileFaultsKey(file), observed: before?.modRevision ?? 0, value }]
  })
  const deletes = [...observed.faults]
    .filter(([file]) => !faults.has(file) && folder.isUncertain(file) === undefined)
    .map(([file, { modRevision }]) => ({ key: fileFaultsKey(file), observed: modRevision }))
  return [...puts, ...deletes]
}

function isSameJson(a: object, b: object): boolean {
  return canonicalJson(a as unknown as Json) === canonicalJson(b as unknown as Json)
}
