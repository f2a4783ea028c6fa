import * as v from "valibot"
import type { Fault } from "../model/fault.ts"
import { isJsonObject, type Json } from "../model/json.ts"
import { compileSchema } from "../model/json-schema.ts"
import { isName } from "../model/name.ts"
import { nearestName } from "../model/nearest.ts"
import { canonicalPipeline, type Pipeline } from "../model/pipeline.ts"
import { checkPipeline } from "../model/pipeline-check.ts"
import { pipelineFields, pipelineSourceSchema } from "../model/pipeline-source.ts"
import { resolvePipeline } from "../model/resolve-pipeline.ts"
import {
  type DefinitionSource,
  definitionFields,
  definitionHash,
  definitionSourceSchema,
} from "../model/resource.ts"
import { missingField, openIssues, type PathFault, schemaFault } from "../model/schema-fault.ts"
import { type Place, type ReadDocument, readDocuments } from "./document.ts"
import type { InputChecks } from "./input-checks.ts"
import { inputFaults } from "./step-inputs.ts"
import { unknownFields } from "./unknown-fields.ts"

/** One thing a file declares, complete and valid, and where its document starts. */
export type Declaration = Place &
  (
    | {
        readonly kind: "pipeline"
        readonly name: string
        readonly pipeline: Pipeline
        /** {@link canonicalPipeline} as SHA-256 in hex. */
        readonly hash: string
      }
    | {
        readonly kind: "definition"
        readonly name: string
        readonly definition: DefinitionSource
        /** {@link definitionHash} */
        readonly hash: string
      }
  )

/** What one file says. With a fault that is no warning it declares nothing: a file is taken whole or not at all. */
export interface ParsedFile {
  readonly file: string
  readonly declarations: readonly Declaration[]
  /** The names it declares, as far as they can be read, also beside faults. */
  readonly names: readonly string[]
  /** All there are, in the order of their places. */
  readonly faults: readonly Fault[]
  /** What steps are given that their drivers do not take, in the order of their places. The file is taken all the same. */
  readonly inputFaults?: readonly InputFault[]
}

/** Something wrong with the input of a step; an error is what the step is certain to fail of. */
export interface InputFault {
  readonly pipeline: string
  /** Its id. */
  readonly step: string
  readonly fault: Fault & Place
}

/** The longest file that is read, in characters. */
export const fileLengthMax = 1_000_000
/** The longest JSON of one declaration: its record and its revision share a commit. */
const declarationLengthMax = 500_000

const kinds = ["Pipeline", "ResourceDefinition"] as const

export interface ParseOptions {
  /** The drivers there are; a step whose driver is another one gets a warning. Default: no warnings. */
  readonly drivers?: readonly string[]
  /** What checks the inputs of steps. Default: they are not checked. */
  readonly inputs?: InputChecks
}

/** Reads the text of one file of the pipelines folder. Never rejects; every fault comes with file, line and column. */
export async function parseFile(file: string, text: string, options: ParseOptions = {}): Promise<ParsedFile> {
  if (text.length > fileLengthMax) {
    const message = `Expected a file of at most ${fileLengthMax} characters, found ${text.length}`
    return { file, declarations: [], names: [], faults: [{ message, file, line: 1, column: 1 }] }
  }
  const documents = await Promise.all(readDocuments(text).map((document) => parseDocument(document, options)))
  const declared = documents.flatMap(({ declaration }) => declaration ?? [])
  const faults = [...documents.flatMap((document) => document.faults), ...repeatedNames(declared)]
    .map((fault): Fault & Place => ({ ...fault, file }))
    .sort((a, b) => a.line - b.line || a.column - b.column)
  const names = new Set(documents.flatMap(({ name }) => name ?? []))
  const ofInputs = documents
    .flatMap(({ inputFaults = [] }) => inputFaults)
    .map(({ fault, ...step }): InputFault => ({ ...step, fault: { ...fault, file } }))
    .sort((a, b) => a.fault.line - b.fault.line || a.fault.column - b.fault.column)
  return {
    file,
    declarations: faults.every((fault) => fault.severity === "warning") ? declared : [],
    names: [...names].sort(),
    faults,
    ...(ofInputs.length === 0 ? {} : { inputFaults: ofInputs }),
  }
}

interface ParsedDocument {
  readonly name?: string
  readonly declaration?: Declaration
  readonly faults: readonly (Fault & Place)[]
  readonly inputFaults?: readonly InputFault[]
}

async function parseDocument(document: ReadDocument, options: ParseOptions): Promise<ParsedDocument> {
  if (document.faults.length > 0) return { faults: document.faults }
  const { value } = document
  const placed = ({ atKey = false, at = 0, ...fault }: PathFault) => ({
    ...fault,
    ...document.placeOf(fault.path, { key: atKey, at }),
  })
  if (!isJsonObject(value)) {
    const message = "Expected a mapping with the fields of a pipeline or a resource definition"
    return { faults: [placed({ message, path: "" })] }
  }
  const { name } = value
  const read = await readDeclaration(value, options)
  const { inputs } = options
  const isPipeline = (value["kind"] ?? "Pipeline") === "Pipeline"
  const ofInputs = inputs === undefined || !isPipeline ? [] : await inputFaults(value, inputs)
  return {
    ...(typeof name === "string" && isName(name) ? { name } : {}),
    ...(read.declaration === undefined
      ? {}
      : { declaration: { ...read.declaration, ...document.placeOf("/name") } }),
    faults: read.faults.map(placed),
    inputFaults: ofInputs.map(({ step, fault }) => ({
      pipeline: typeof name === "string" ? name : "",
      step,
      fault: placed(fault),
    })),
  }
}

type Unplaced<T> = T extends Place ? Omit<T, keyof Place> : never
interface ReadDeclaration {
  readonly declaration?: Unplaced<Declaration>
  readonly faults: readonly PathFault[]
}

async function readDeclaration(
  value: { readonly [key: string]: Json },
  options: ParseOptions,
): Promise<ReadDeclaration> {
  const kind = value["kind"] ?? "Pipeline"
  const length = JSON.stringify(value).length
  if (length > declarationLengthMax) {
    const message = `Expected a document of at most ${declarationLengthMax} characters as JSON, found ${length}`
    return { faults: [{ message, path: "" }] }
  }
  if (kind === "Pipeline") return readPipeline(value, options)
  if (kind === "ResourceDefinition") return readDefinition(value)
  const nearest = nearestName(String(kind), kinds)
  const message = `Unknown kind; expected one of ${kinds.join(", ")}`
  return { faults: [{ message, path: "/kind", ...(nearest === undefined ? {} : { nearest }) }] }
}

function readPipeline(value: { readonly [key: string]: Json }, { drivers }: ParseOptions): ReadDeclaration {
  const result = v.safeParse(pipelineSourceSchema, value)
  const issues = joinFaults(unknownPipelineFields(value), result.issues ?? [])
  const found = [
    ...issues,
    ...checkPipeline(value, issues),
    ...(drivers === undefined ? [] : unknownDrivers(value, drivers)),
  ]
  if (!result.success || found.some(({ severity }) => severity !== "warning")) return { faults: found }
  const resolved = resolvePipeline(result.output)
  if ("faults" in resolved) throw new Error("A pipeline that has been checked can be resolved")
  const { pipeline } = resolved
  const hash = new Bun.CryptoHasher("sha256").update(canonicalPipeline(pipeline)).digest("hex")
  return { declaration: { kind: "pipeline", name: pipeline.name, pipeline, hash }, faults: found }
}

async function readDefinition(value: { readonly [key: string]: Json }): Promise<ReadDeclaration> {
  const unknown = unknownFields(value, definitionFields, { path: "", of: "a resource definition" })
  const result = v.safeParse(definitionSourceSchema, value)
  const faults = joinFaults(unknown, result.issues ?? [])
  if (!result.success) return { faults }
  const definition = result.output
  const compiled = await compileSchema(definition.schema)
  if ("faults" in compiled) return { faults: [...faults, ...compiled.faults] }
  const { name } = definition
  return { declaration: { kind: "definition", name, definition, hash: definitionHash(definition) }, faults }
}

function unknownPipelineFields(value: { readonly [key: string]: Json }): PathFault[] {
  return [
    ...unknownFields(value, pipelineFields.pipeline, { path: "", of: "a pipeline" }),
    ...unknownFields(value["concurrency"], pipelineFields.concurrency, {
      path: "/concurrency",
      of: "concurrency",
    }),
    ...listAt(value["steps"], "/steps").flatMap(([step, path]) => [
      ...unknownStepFields(step, { path, fields: pipelineFields.step, of: "a step" }),
      ...ensuresOf(step, path).flatMap(([ensure, at]) =>
        unknownStepFields(ensure, { path: at, fields: pipelineFields.ensure, of: "an ensure step" }),
      ),
    ]),
    ...listAt(value["finally"], "/finally").flatMap(([step, path]) =>
      unknownStepFields(step, { path, fields: pipelineFields.finally, of: "a step of finally" }),
    ),
  ]
}

type Placed = readonly [value: Json, path: string]

function listAt(value: Json | undefined, path: string): Placed[] {
  return Array.isArray(value) ? value.map((item: Json, index): Placed => [item, `${path}/${index}`]) : []
}

function ensuresOf(step: Json, path: string): Placed[] {
  const ensure = isJsonObject(step) ? step["ensure"] : undefined
  return Array.isArray(ensure) ? listAt(ensure, `${path}/ensure`) : [[ensure ?? null, `${path}/ensure`]]
}

function unknownStepFields(
  step: Json,
  { path, fields, of }: { readonly path: string; readonly fields: readonly string[]; readonly of: string },
): PathFault[] {
  if (!isJsonObject(step)) return []
  return [
    ...unknownFields(step, fields, { path, of }),
    ...unknownFields(step["retry"], pipelineFields.retry, { path: `${path}/retry`, of: "a retry" }),
    ...listAt(step["needs"], `${path}/needs`).flatMap(([need, at]) =>
      unknownFields(need, pipelineFields.need, { path: at, of: "a need" }),
    ),
  ]
}

/** One slip is one fault: a misspelt field is not also said to be missing under its right name. */
function joinFaults(unknown: readonly PathFault[], issues: readonly v.BaseIssue<unknown>[]): PathFault[] {
  const misspelt = new Set(
    unknown.map(({ path, nearest }) => `${path.slice(0, path.lastIndexOf("/"))}/${nearest}`),
  )
  return [
    ...unknown,
    ...openIssues(issues)
      .map((issue) => ({ fault: schemaFault(issue), missing: missingField(issue) !== undefined }))
      .filter(({ fault, missing }) => !(missing && misspelt.has(fault.path)))
      .map(({ fault }) => fault),
  ]
}

function unknownDrivers(value: { readonly [key: string]: Json }, drivers: readonly string[]): PathFault[] {
  const steps = [
    ...listAt(value["steps"], "/steps").flatMap(([step, path]) => [
      [step, path] as const,
      ...ensuresOf(step, path),
    ]),
    ...listAt(value["finally"], "/finally"),
  ]
  return steps.flatMap(([step, path]) => {
    const driver = isJsonObject(step) ? step["driver"] : undefined
    if (typeof driver !== "string" || !isName(driver) || drivers.includes(driver)) return []
    const nearest = nearestName(driver, drivers)
    const fault = {
      message: `No driver is named "${driver}" here; the step would wait for it`,
      path: `${path}/driver`,
      severity: "warning",
    } as const
    return [{ ...fault, ...(nearest === undefined ? {} : { nearest }) }]
  })
}

function repeatedNames(declared: readonly Declaration[]): (Fault & Place)[] {
  const first = new Map<string, Declaration>()
  return declared.flatMap((declaration) => {
    const key = `${declaration.kind} ${declaration.name}`
    const earlier = first.get(key)
    if (earlier === undefined) {
      first.set(key, declaration)
      return []
    }
    const { line, column } = declaration
    const message = `The ${describeKind(declaration.kind)} "${declaration.name}" is already declared in line ${earlier.line}`
    return [{ message, path: "/name", line, column }]
  })
}

/** What people call it. */
export function describeKind(kind: Declaration["kind"]): string {
  return kind === "pipeline" ? "pipeline" : "resource definition"
}
