import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import type { HostFile } from "../model/host-file.ts"
import type { JsonObject } from "../model/json.ts"
import { nearestName } from "../model/nearest.ts"
import { canonicalPipeline, type Pipeline, type PipelineRecord } from "../model/pipeline.ts"
import { checkPipeline } from "../model/pipeline-check.ts"
import { pipelineSourceSchema } from "../model/pipeline-source.ts"
import { resolvePipeline } from "../model/resolve-pipeline.ts"
import { openIssues, schemaFault } from "../model/schema-fault.ts"
import { definitionKey, pipelineKey, pipelineRevisionKey, prefixes } from "../store/keys.ts"
import type { Entry, Store } from "../store/store.ts"
import { definitionNotFound, namesUnder, requireNoFile, requireSameName } from "./definitions.ts"
import { allHostFiles, driftOfPipeline, faultsAbout } from "./host-files.ts"
import { listPage, pageOf, pageResponse } from "./paging.ts"
import { notFound } from "./problem.ts"
import { nameParameter, readObject } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { json, listOf, nothing, pageQuery, pipelineShape } from "./shapes.ts"

const what = "pipeline"

/** Pipelines: create, read, update, delete. Runs that have begun keep the revision they began with. */
export function pipelineRoutes(context: ApiContext): readonly Route[] {
  const { store } = context
  return [
    {
      method: "POST",
      path: "/pipelines",
      summary: "Create a pipeline",
      body: pipelineSourceSchema,
      responses: { 201: json(pipelineShape, "The new pipeline") },
      async handle({ request }) {
        const pipeline = await readPipeline(store, request)
        const before = await store.get(pipelineKey(pipeline.name))
        const record = before === undefined ? await write(context, pipeline) : undefined
        if (record === undefined) throw await conflict(store, pipeline.name)
        return Response.json(view(record, []), { status: 201 })
      },
    },
    {
      method: "GET",
      path: "/pipelines",
      summary: "List the pipelines, by name",
      query: pageQuery,
      responses: { 200: json(listOf(pipelineShape), "A page of them") },
      async handle(call) {
        const [page, files] = await Promise.all([
          listPage(store, { prefix: prefixes.pipelines, page: pageOf(call.query) }),
          allHostFiles(store),
        ])
        return pageResponse(
          call,
          page.entries.map((entry) => view(parseRecord(entry), files)),
          page.next,
        )
      },
    },
    {
      method: "GET",
      path: "/pipelines/:name",
      summary:
        "Read a pipeline, with what is wrong in its file now and the hosts whose folders have another one",
      responses: { 200: json(pipelineShape, "The pipeline that new runs start with") },
      async handle({ params }) {
        const name = nameParameter(params["name"], what)
        const [entry, files] = await Promise.all([store.get(pipelineKey(name)), allHostFiles(store)])
        if (entry === undefined) throw await pipelineNotFound(store, { name, files })
        return Response.json(view(parseRecord(entry), files))
      },
    },
    {
      method: "PUT",
      path: "/pipelines/:name",
      summary: "Update a pipeline; unchanged content writes nothing",
      body: pipelineSourceSchema,
      responses: { 200: json(pipelineShape, "The updated pipeline") },
      async handle({ request, params }) {
        const name = nameParameter(params["name"], what)
        const pipeline = await readPipeline(store, request, name)
        requireSameName(pipeline.name, name)
        for (;;) {
          const record = await write(context, pipeline, await getPipeline(store, name))
          if (record !== undefined) return Response.json(view(record, []))
        }
      },
    },
    {
      method: "DELETE",
      path: "/pipelines/:name",
      summary: "Delete a pipeline; runs that have begun go on",
      responses: { 204: nothing("It is gone") },
      async handle({ params }) {
        const name = nameParameter(params["name"], what)
        const key = pipelineKey(name)
        for (;;) {
          const entry = await getPipeline(store, name)
          requireNoFile({ name, ...fileOf(parseRecord(entry)) })
          const guards = [{ key, modRevision: entry.modRevision }]
          if ((await store.commit(guards, [{ type: "delete", key }])) !== undefined) {
            return new Response(null, { status: 204 })
          }
        }
      },
    },
  ]
}

/** The pipeline in a body, with everything implied written out; its resource definition must exist. */
async function readPipeline(store: Store, request: Request, name?: string): Promise<Pipeline> {
  const body = await readObject(request, name === undefined ? {} : { name })
  const { success, output, issues = [] } = v.safeParse(pipelineSourceSchema, body)
  const schemaFaults = openIssues(issues).map(schemaFault)
  const faults = [...schemaFaults, ...checkPipeline(body as JsonObject, schemaFaults)]
  if (!success || faults.some(({ severity }) => severity !== "warning")) {
    throw new ConveyorError("INVALID", "The pipeline does not validate", {
      faults: faults.map(({ at: _, atKey: __, ...fault }) => fault),
    })
  }
  const resolved = resolvePipeline(output)
  if ("faults" in resolved) throw new Error("A pipeline that has been checked can be resolved")
  if ((await store.get(definitionKey(output.resource))) === undefined) {
    throw await definitionNotFound(store, output.resource)
  }
  return resolved.pipeline
}

/** Writes a pipeline and its revision as one; undefined when what was `before` has changed meanwhile. */
async function write(
  { store, now }: ApiContext,
  pipeline: Pipeline,
  before?: Entry,
): Promise<PipelineRecord | undefined> {
  const record = before === undefined ? undefined : parseRecord(before)
  requireNoFile({ name: pipeline.name, ...fileOf(record) })
  const canonical = canonicalPipeline(pipeline)
  const hash = new Bun.CryptoHasher("sha256").update(canonical).digest("hex")
  if (record?.hash === hash) return record
  const at = now().toISOString()
  const written = { pipeline, hash, createdAt: record?.createdAt ?? at, updatedAt: at }
  const key = pipelineKey(pipeline.name)
  const revision = await store.commit(
    [{ key, modRevision: before?.modRevision ?? 0 }],
    [
      { type: "put", key, value: JSON.stringify(written) },
      { type: "put", key: pipelineRevisionKey(hash), value: canonical },
    ],
  )
  return revision === undefined ? undefined : written
}

async function getPipeline(store: Store, name: string): Promise<Entry> {
  const entry = await store.get(pipelineKey(name))
  if (entry === undefined) throw await pipelineNotFound(store, { name, files: await allHostFiles(store) })
  return entry
}

/** Says so when the pipeline is in a file that cannot be used; else names the nearest one. */
async function pipelineNotFound(
  store: Store,
  { name, files }: { readonly name: string; readonly files: readonly HostFile[] },
): Promise<ConveyorError> {
  const inFile = files.find((each) => each.faults.length > 0 && each.names.includes(name))
  if (inFile === undefined) {
    return notFound(what, name, nearestName(name, await namesUnder(store, prefixes.pipelines)))
  }
  return new ConveyorError("NOT_FOUND", `The pipeline "${name}" is in ${inFile.file}, which has faults`, {
    faults: faultsAbout(files, { name }),
  })
}

async function conflict(store: Store, name: string): Promise<ConveyorError> {
  const entry = await store.get(pipelineKey(name))
  const file = entry === undefined ? undefined : parseRecord(entry).file
  const where = file === undefined ? "" : `; it belongs to the file ${file}`
  return new ConveyorError("CONFLICT", `There is a ${what} "${name}" already${where}`)
}

/** The pipeline in the older clients' shape, and ours beside it. */
function view(record: PipelineRecord, files: readonly HostFile[]) {
  const { pipeline, ...fields } = record
  const faults = faultsAbout(files, { name: pipeline.name, ...fileOf(record) })
  const drift = driftOfPipeline(files, record)
  return {
    ...pipeline,
    ...fields,
    ...(faults.length === 0 ? {} : { faults }),
    ...(drift.length === 0 ? {} : { drift }),
  }
}

function fileOf(record: PipelineRecord | undefined): { readonly file?: string } {
  return record?.file === undefined ? {} : { file: record.file }
}

function parseRecord(entry: Entry): PipelineRecord {
  return JSON.parse(entry.value) as PipelineRecord
}
