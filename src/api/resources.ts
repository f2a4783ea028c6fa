import * as v from "valibot"
import { ConveyorError } from "../errors.ts"
import { nearestName } from "../model/nearest.ts"
import { type Resource, resourceSourceSchema } from "../model/resource.ts"
import { definitionKey, prefixes, resourceKey, resourcesPrefix } from "../store/keys.ts"
import { findVersion } from "../store/resource-version.ts"
import type { Entry } from "../store/store.ts"
import { definitionNotFound, namesUnder, requireSameName } from "./definitions.ts"
import { FollowedRun } from "./followed-run.ts"
import { listPage, pageOf, pageResponse } from "./paging.ts"
import { notFound } from "./problem.ts"
import { nameParameter, parseAs, readBody, waitMs } from "./request.ts"
import { resourceKinds } from "./resource-kinds.ts"
import {
  type CreatedAnswer,
  createResource,
  deleteResource,
  parseResource,
  updateResource,
} from "./resource-writes.ts"
import type { ApiContext, Call, Route } from "./route.ts"
import {
  createdResourceShape,
  idempotencyHeaders,
  json,
  listOf,
  nothing,
  pageQuery,
  resourceShape,
  updatedResourceShape,
  waitQuery,
} from "./shapes.ts"
import { answerStart, withRun } from "./started-run.ts"

/** Resources: what travels the belt. Creating, updating and deleting one starts a run where its pipeline wants that. */
export function resourceRoutes(context: ApiContext): readonly Route[] {
  const { store } = context
  const kinds = resourceKinds(store)

  async function getResource(params: Call["params"]): Promise<Entry> {
    const type = nameParameter(params["type"], "resource definition")
    const name = nameParameter(params["name"], type)
    const entry = await store.get(resourceKey(type, name))
    if (entry !== undefined) return entry
    throw notFound(type, name, nearestName(name, await namesUnder(store, resourcesPrefix(type))))
  }

  function newChange(runId: string = Bun.randomUUIDv7()) {
    return { store, runId, at: context.now().toISOString() }
  }

  return [
    {
      method: "POST",
      path: "/resources",
      summary: "Create a resource, which starts a run",
      query: waitQuery,
      headers: idempotencyHeaders,
      body: resourceSourceSchema,
      responses: {
        201: json(createdResourceShape, "It is stored; `runid` is empty when no run has started"),
      },
      async handle(call) {
        const body = await readBody(call.request, resourceSourceSchema)
        return answerStart<CreatedAnswer>(context, {
          call,
          scope: "POST /resources",
          body,
          async start(runId, first) {
            const { source, plan } = await kinds.check(body, "create")
            return createResource({ ...newChange(runId), plan }, { source, first })
          },
        })
      },
    },
    {
      method: "GET",
      path: "/resources",
      summary: "List the resources, by kind and name",
      query: { ...pageQuery, type: "Only those of this kind" },
      responses: { 200: json(listOf(resourceShape), "A page of them") },
      async handle(call) {
        const type = call.query.get("type")
        const prefix = type === null ? prefixes.resources : resourcesPrefix(parseName(type))
        const { entries, next } = await listPage(store, { prefix, page: pageOf(call.query) })
        return pageResponse(call, entries.map(parseResource), next)
      },
    },
    {
      method: "GET",
      path: "/resources/:type",
      summary: "List the resources of a kind, by name",
      query: pageQuery,
      responses: { 200: json(listOf(resourceShape), "A page of them") },
      async handle(call) {
        const type = nameParameter(call.params["type"], "resource definition")
        const { entries, next } = await listPage(store, {
          prefix: resourcesPrefix(type),
          page: pageOf(call.query),
        })
        if (entries.length === 0 && (await store.get(definitionKey(type))) === undefined) {
          throw await definitionNotFound(store, type)
        }
        return pageResponse(call, entries.map(parseResource), next)
      },
    },
    {
      method: "GET",
      path: "/resources/:type/:name",
      summary: "Read the newest version of a resource",
      responses: { 200: json(resourceShape, "The resource") },
      handle: async ({ params }) => Response.json(parseResource(await getResource(params))),
    },
    {
      method: "PUT",
      path: "/resources/:type/:name",
      summary: "Write the next version of a resource; versions before it are kept",
      query: waitQuery,
      body: resourceSourceSchema,
      responses: {
        200: json(updatedResourceShape, "The new version; `runid` is empty when no run has started"),
      },
      async handle(call) {
        const wait = waitMs(call.query)
        const before = parseResource(await getResource(call.params))
        const { name, resource: type } = before
        const body = await readBody(call.request, resourceSourceSchema, { name, resource: type })
        requireSameName(body.name, name)
        requireSameName(body.resource, type, "resource")
        const { source, plan } = await kinds.check(body, "update")
        const change = { ...newChange(), plan }
        using followed = wait > 0 && plan.starts ? new FollowedRun(context, change.runId) : undefined
        let resource: Resource | undefined
        while (resource === undefined) {
          resource = await updateResource(change, { entry: await getResource(call.params), source })
        }
        const updated = {
          ...resource,
          runid: plan.starts ? change.runId : "",
          message: "Resource updated successfully",
          version: String(resource.version),
        }
        return Response.json(await withRun(updated, { call, followed, wait }))
      },
    },
    {
      method: "DELETE",
      path: "/resources/:type/:name",
      summary:
        "Delete a resource; its versions are kept. The header Conveyor-Run-Id names the run that starts",
      responses: { 204: nothing("It is gone") },
      async handle({ params }) {
        for (;;) {
          const entry = await getResource(params)
          const plan = await kinds.planDelete(parseResource(entry).pipeline)
          const change = { ...newChange(), plan }
          if ((await deleteResource(change, entry)) === undefined) continue
          const headers: Record<string, string> = plan.starts ? { "conveyor-run-id": change.runId } : {}
          return new Response(null, { status: 204, headers })
        }
      },
    },
    {
      method: "GET",
      path: "/resources/:type/:name/:version",
      summary: "Read one version of a resource, also of one that is deleted",
      responses: { 200: json(resourceShape, "That version") },
      async handle({ params }) {
        const type = nameParameter(params["type"], "resource definition")
        const name = nameParameter(params["name"], type)
        const wanted = params["version"] ?? ""
        const versionNotFound = (version: string) =>
          new ConveyorError("NOT_FOUND", `The ${type} "${name}" has no version ${JSON.stringify(version)}`)
        if (!/^[1-9]\d{0,9}$/.test(wanted)) throw versionNotFound(wanted)
        const found = await findVersion(store, { type, name, version: Number(wanted) })
        if (found === undefined) throw versionNotFound(wanted)
        return Response.json(found.resource)
      },
    },
  ]
}

const typeSchema = v.object({ type: resourceSourceSchema.entries.name })

function parseName(type: string): string {
  return parseAs(typeSchema, { type }).type
}
