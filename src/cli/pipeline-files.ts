import { relative } from "node:path"
import type { Config } from "../config.ts"
import { ConveyorError } from "../errors.ts"
import type { CheckedFiles } from "../loader/check.ts"
import type { InputFault } from "../loader/parse.ts"
import { describeFault, type Fault } from "../model/fault.ts"
import type { Pipeline } from "../model/pipeline.ts"
import { present } from "../model/present.ts"
import type { DefinitionSource } from "../model/resource.ts"
import { checkPipelines } from "./check-pipelines.ts"
import { noPipeline } from "./no-pipeline.ts"
import { isPipelineFile } from "./pipeline-argument.ts"

/** A pipeline as a host would load it from files. */
export interface FoundPipeline {
  readonly pipeline: Pipeline
  /** The definition of its kind, where there is one beside it. */
  readonly definition?: Pick<DefinitionSource, "schema">
  /** What is wrong with its file, and does not keep it from being loaded. */
  readonly warnings: readonly Fault[]
  /** Of steps that are certain to fail, for their inputs: why, by their ids. */
  readonly failures: ReadonlyMap<string, string>
}

/**
 * Looks a pipeline up in the pipelines folder, by its name, or in the one file that is named, without a store or a host.
 * Throws `NOT_FOUND` with the nearest name, `INVALID` with all that is wrong in its file, and `USAGE` for a file with several.
 */
export async function findPipeline(
  wanted: string,
  { pipelines, drivers }: Pick<Config, "pipelines" | "drivers">,
): Promise<FoundPipeline> {
  const isFile = isPipelineFile(wanted)
  const where = isFile ? wanted : relative(process.cwd(), pipelines) || "."
  const checked = await checkPipelines([where], { drivers })
  const declared = checked.parsed.flatMap(({ file, declarations }) =>
    declarations.map((declaration) => ({ file, declaration })),
  )
  const all = declared.flatMap(({ file, declaration }) =>
    declaration.kind === "pipeline" ? [{ file, pipeline: declaration.pipeline }] : [],
  )
  const [found, other] = isFile ? all : all.filter(({ pipeline }) => pipeline.name === wanted)
  if (found === undefined) throw nothingFound(wanted, { where, isFile, checked })
  if (other !== undefined) {
    const names = all.map(({ pipeline }) => pipeline.name).join(", ")
    throw isFile
      ? new ConveyorError(
          "USAGE",
          `${wanted} holds several pipelines: ${names}; name one, with --pipelines <folder>`,
        )
      : new ConveyorError("INVALID", `The pipeline "${wanted}" is declared more than once`, {
          faults: errorsIn(checked),
        })
  }
  const { pipeline } = found
  const definitions = declared.flatMap(({ declaration }) =>
    declaration.kind === "definition" && declaration.name === pipeline.resource
      ? [declaration.definition]
      : [],
  )
  const [definition] = definitions
  const ofInputs = inputFaultsIn(checked).filter(({ fault }) => fault.file === found.file)
  const refusals = ofInputs.filter(
    ({ pipeline: of, fault }) => of === pipeline.name && fault.severity !== "warning",
  )
  return {
    pipeline,
    ...(definition === undefined ? {} : { definition }),
    warnings: checked.faults.filter(
      (fault) =>
        fault.file === found.file &&
        (fault.severity === "warning" || ofInputs.some((other) => other.fault === fault)),
    ),
    // The first of a step is enough: it is not attempted again.
    failures: new Map(refusals.toReversed().map(({ step, fault }) => [step, withoutPlace(fault)])),
  }
}

/** A fault of an input where its step is named anyway. */
function withoutPlace({ message, nearest }: Fault): string {
  return describeFault({ message, ...present({ nearest }) })
}

/** Why there is no such pipeline: its file has faults, or there is none, and which one may be meant. */
function nothingFound(
  wanted: string,
  {
    where,
    isFile,
    checked,
  }: { readonly where: string; readonly isFile: boolean; readonly checked: CheckedFiles },
): ConveyorError {
  const { parsed } = checked
  // Of a file with faults it cannot be told which of its names are pipelines'.
  const names = new Set(
    parsed.flatMap(({ declarations, names }) =>
      declarations.length === 0
        ? names
        : declarations.filter(({ kind }) => kind === "pipeline").map(({ name }) => name),
    ),
  )
  const files = new Set(
    (isFile ? parsed : parsed.filter((file) => file.names.includes(wanted))).map(({ file }) => file),
  )
  const faults = errorsIn(checked).filter(({ file }) => file === undefined || files.has(file))
  if (faults.length > 0)
    return new ConveyorError("INVALID", `${isFile ? wanted : `The pipeline "${wanted}"`} cannot be planned`, {
      faults,
    })
  if (isFile) return new ConveyorError("INVALID", `${wanted} holds no pipeline with a name`)
  const [unreadable] = parsed.length === 1 && parsed[0]?.file === where ? errorsIn(checked) : []
  if (unreadable !== undefined)
    return new ConveyorError(
      "NOT_FOUND",
      `${unreadable.message}: ${where}; name another folder with --pipelines, or a file`,
    )
  return noPipeline(wanted, `in ${where}`, names)
}

/** What keeps files from being loaded. */
function errorsIn(checked: CheckedFiles): readonly Fault[] {
  const ofInputs = new Set<Fault>(inputFaultsIn(checked).map(({ fault }) => fault))
  return checked.faults.filter((fault) => fault.severity !== "warning" && !ofInputs.has(fault))
}

function inputFaultsIn({ parsed }: CheckedFiles): readonly InputFault[] {
  return parsed.flatMap(({ inputFaults = [] }) => inputFaults)
}
