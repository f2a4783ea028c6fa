import { ConveyorError } from "../errors.ts"
import { compileSchema, type SchemaCheck } from "../model/json-schema.ts"
import { nearestName } from "../model/nearest.ts"
import { type DefinitionSource, definitionSourceSchema, type ResourceDefinition } from "../model/resource.ts"
import { definitionKey, prefixes } from "../store/keys.ts"
import type { Entry, Store } from "../store/store.ts"
import { listPage, pageOf, pageResponse } from "./paging.ts"
import { notFound } from "./problem.ts"
import { nameParameter, readBody } from "./request.ts"
import type { ApiContext, Route } from "./route.ts"
import { definitionShape, json, listOf, nothing, pageQuery } from "./shapes.ts"

const what = "resource definition"

/** Resource definitions: create, apply (create or update), read, update, delete. */
export function definitionRoutes(context: ApiContext): readonly Route[] {
  const { store } = context
  return [
    {
      method: "POST",
      path: "/resource-definitions",
      summary: "Create a resource definition",
      body: definitionSourceSchema,
      responses: { 201: json(definitionShape, "The new resource definition") },
      async handle({ request }) {
        const source = await readBody(request, definitionSourceSchema)
        await schemaCheck(source.schema)
        const created = await create(context, source)
        if (created === undefined) throw conflict(source.name)
        return Response.json(created, { status: 201 })
      },
    },
    {
      method: "POST",
      path: "/resource-definitions/apply",
      summary: "Create a resource definition, or update the one of that name",
      body: definitionSourceSchema,
      responses: {
        200: json(definitionShape, "It was there and has been updated"),
        201: json(definitionShape, "The new resource definition"),
      },
      async handle({ request }) {
        const source = await readBody(request, definitionSourceSchema)
        await schemaCheck(source.schema)
        for (;;) {
          const entry = await store.get(definitionKey(source.name))
          const applied = await (entry === undefined
            ? create(context, source)
            : update(context, { entry, source }))
          if (applied !== undefined)
            return Response.json(applied, { status: entry === undefined ? 201 : 200 })
        }
      },
    },
    {
      method: "GET",
      path: "/resource-definitions",
      summary: "List the resource definitions, by name",
      query: pageQuery,
      responses: { 200: json(listOf(definitionShape), "A page of them") },
      async handle(call) {
        const { entries, next } = await listPage(store, {
          prefix: prefixes.definitions,
          page: pageOf(call.query),
        })
        return pageResponse(call, entries.map(parseDefinition), next)
      },
    },
    {
      method: "GET",
      path: "/resource-definitions/:name",
      summary: "Read a resource definition",
      responses: { 200: json(definitionShape, "The resource definition") },
      async handle({ params }) {
        const entry = await getDefinition(store, nameParameter(params["name"], what))
        return Response.json(parseDefinition(entry))
      },
    },
    {
      method: "PUT",
      path: "/resource-definitions/:name",
      summary: "Update a resource definition; resources that exist are not checked again",
      body: definitionSourceSchema,
      responses: { 200: json(definitionShape, "The updated resource definition") },
      async handle({ request, params }) {
        const name = nameParameter(params["name"], what)
        const source = await readBody(request, definitionSourceSchema, { name })
        requireSameName(source.name, name)
        await schemaCheck(source.schema)
        for (;;) {
          const updated = await update(context, { entry: await getDefinition(store, name), source })
          if (updated !== undefined) return Response.json(updated)
        }
      },
    },
    {
      method: "DELETE",
      path: "/resource-definitions/:name",
      summary: "Delete a resource definition; its resources stay",
      responses: { 204: nothing("It is gone") },
      async handle({ params }) {
        const key = definitionKey(nameParameter(params["name"], what))
        for (;;) {
          const entry = await getDefinition(store, nameParameter(params["name"], what))
          requireNoFile(parseDefinition(entry))
          const guards = [{ key, modRevision: entry.modRevision }]
          if ((await store.commit(guards, [{ type: "delete", key }])) !== undefined) {
            return new Response(null, { status: 204 })
          }
        }
      },
    },
  ]
}

/** How values are checked against a schema; throws `INVALID` with the faults of a schema that is none. */
export async function schemaCheck(schema: ResourceDefinition["schema"]): Promise<SchemaCheck> {
  const compiled = await compileSchema(schema)
  if ("check" in compiled) return compiled.check
  throw new ConveyorError("INVALID", "The schema is not a JSON Schema", { faults: compiled.faults })
}

/** The entry of a resource definition; `NOT_FOUND` with the nearest name when there is none. */
export async function getDefinition(store: Store, name: string): Promise<Entry> {
  const entry = await store.get(definitionKey(name))
  if (entry === undefined) throw await definitionNotFound(store, name)
  return entry
}

/** `NOT_FOUND` for a resource definition, with the nearest name. */
export async function definitionNotFound(store: Store, name: string): Promise<ConveyorError> {
  return notFound(what, name, nearestName(name, await namesUnder(store, prefixes.definitions)))
}

/** The names below a prefix, for naming the nearest one; at most 1,000. */
export async function namesUnder(store: Store, prefix: string): Promise<readonly string[]> {
  const { entries } = await store.list(prefix, { limit: 1_000 })
  return entries.map((entry) => entry.key.slice(prefix.length))
}

/** Refuses a body that names another thing than the path does. */
export function requireSameName(inBody: string, inPath: string, field = "name"): void {
  if (inBody === inPath) return
  throw new ConveyorError("INVALID", "The body names another one than the path", {
    faults: [{ message: `Expected "${inPath}", as in the path`, path: `/${field}` }],
  })
}

/** Refuses to change what a file in the pipelines folder declares. */
export function requireNoFile(owned: { readonly name: string; readonly file?: string }): void {
  if (owned.file === undefined) return
  throw new ConveyorError("CONFLICT", `"${owned.name}" belongs to the file ${owned.file}; change it there`)
}

function parseDefinition(entry: Entry): ResourceDefinition {
  return JSON.parse(entry.value) as ResourceDefinition
}

/** Undefined when there is one of that name. */
async function create(
  { store, now }: ApiContext,
  source: DefinitionSource,
): Promise<ResourceDefinition | undefined> {
  const at = now().toISOString()
  const definition = { id: Bun.randomUUIDv7(), ...fieldsOf(source), createdAt: at, updatedAt: at }
  const key = definitionKey(source.name)
  const value = JSON.stringify(definition)
  const revision = await store.commit([{ key, modRevision: 0 }], [{ type: "put", key, value }])
  return revision === undefined ? undefined : definition
}

/** Undefined when it changed meanwhile: read it again. */
async function update(
  { store, now }: ApiContext,
  { entry, source }: { readonly entry: Entry; readonly source: DefinitionSource },
): Promise<ResourceDefinition | undefined> {
  const before = parseDefinition(entry)
  requireNoFile(before)
  const definition = {
    id: before.id,
    ...fieldsOf(source),
    createdAt: before.createdAt,
    updatedAt: now().toISOString(),
  }
  const { key, modRevision } = entry
  const value = JSON.stringify(definition)
  const revision = await store.commit([{ key, modRevision }], [{ type: "put", key, value }])
  return revision === undefined ? undefined : definition
}

function fieldsOf({ name, description, version, schema }: DefinitionSource) {
  return {
    name,
    ...(description === undefined ? {} : { description }),
    ...(version === undefined ? {} : { version }),
    schema,
  }
}

function conflict(name: string): ConveyorError {
  return new ConveyorError("CONFLICT", `There is a ${what} "${name}" already`)
}
