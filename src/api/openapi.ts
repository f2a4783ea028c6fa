import { toJsonSchema } from "@valibot/to-json-schema"
import type { GenericSchema } from "valibot"
import type { ResponseShape, Route } from "./route.ts"
import { problemShape } from "./shapes.ts"

/** The OpenAPI document and a page that shows it. Both are made when they are first asked for. */
export function openApiRoutes(routes: readonly Route[], version: string): readonly Route[] {
  let documentJson: string | undefined
  let page: string | undefined
  const own: readonly Route[] = [
    {
      method: "GET",
      path: "/openapi",
      summary: "This API as a page that loads nothing from elsewhere",
      responses: { 200: { type: "html", description: "The page" } },
      handle() {
        page ??= renderPage([...routes, ...own], version)
        return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } })
      },
    },
    {
      method: "GET",
      path: "/openapi/json",
      summary: "This API as an OpenAPI document",
      responses: { 200: { type: "text", description: "The document" } },
      handle() {
        documentJson ??= JSON.stringify(openApiDocument([...routes, ...own], version))
        return new Response(documentJson, { headers: { "content-type": "application/json" } })
      },
    },
  ]
  return own
}

/** The OpenAPI 3.1 document of these routes. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, "{$1}")
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: "3.1.0",
    info: { title: "Conveyor", version, description: "A CI pipeline engine in one executable" },
    paths,
    components: { schemas: { Problem: schemaOf(problemShape) } },
  }
}

function operationOf(route: Route): object {
  const parameters = [
    ...[...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
    })),
    ...optionalParameters("query", route.query),
    ...optionalParameters("header", route.headers),
  ]
  const answers = Object.entries(route.responses).map(([status, shape]) => [status, responseOf(shape)])
  return {
    summary: route.summary,
    tags: [route.path.split("/")[1]],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(route.body === undefined
      ? {}
      : {
          requestBody: {
            required: route.bodyOptional !== true,
            content: { "application/json": { schema: schemaOf(route.body) } },
          },
        }),
    responses: {
      ...Object.fromEntries(answers),
      default: {
        description: "A problem",
        content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    },
  }
}

function optionalParameters(place: "query" | "header", texts: Readonly<Record<string, string>> = {}) {
  return Object.entries(texts).map(([name, description]) => ({
    name,
    in: place,
    description,
    schema: { type: "string" },
  }))
}

const mediaTypes = { events: "text/event-stream", text: "text/plain", html: "text/html" } as const

function responseOf(shape: ResponseShape): object {
  const { description } = shape
  switch (shape.type) {
    case "json":
      return { description, content: { "application/json": { schema: schemaOf(shape.schema) } } }
    case "events":
    case "text":
    case "html":
      return { description, content: { [mediaTypes[shape.type]]: { schema: { type: "string" } } } }
    case "nothing":
      return { description }
    default:
      return shape satisfies never
  }
}

/** The JSON Schema of what is sent; checks that JSON Schema cannot say are left out. */
function schemaOf(schema: GenericSchema): object {
  const { $schema: _, ...rest } = toJsonSchema(schema, { errorMode: "ignore", typeMode: "input" })
  return rest
}

function renderPage(routes: readonly Route[], version: string): string {
  const nouns = Map.groupBy(routes, (route) => route.path.split("/")[1] ?? "")
  const sections = [...nouns].map(
    ([noun, own]) => `<h2>${escapeHtml(noun)}</h2>\n${own.map(renderRoute).join("\n")}`,
  )
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Conveyor ${escapeHtml(version)}: the API</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --line: #8883; --dim: #7a7f87 }
  body { max-width: 64rem; margin: 2.5rem auto; padding: 0 1.25rem }
  h1 { font-size: 1.6rem; margin: 0 }
  h2 { font-size: 1rem; margin: 2rem 0 .4rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line) }
  summary { display: grid; grid-template-columns: 1rem 4.5rem 20rem 1fr; gap: .5rem; align-items: baseline;
    cursor: pointer; padding: .3rem .4rem; border-radius: .4rem; list-style: none }
  summary::-webkit-details-marker { display: none }
  summary::before { content: "›"; color: var(--dim) }
  [open] > summary::before { content: "⌄" }
  summary:hover { background: #8881 }
  summary b { font: 600 .8rem/1.45 ui-monospace, monospace }
  .GET { color: #2f81c7 } .POST { color: #2e8b57 } .PUT { color: #b7791f } .DELETE { color: #c94a4a }
  code, pre { font: .875rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere }
  pre { overflow: auto; max-height: 24rem; padding: .75rem; border: 1px solid var(--line); border-radius: .4rem }
  dl { margin: .25rem 0 1.25rem 2rem } dt { font-weight: 600 } dd { margin: 0 0 .5rem }
  @media (max-width: 45rem) {
    summary { grid-template-columns: 1rem 4.5rem 1fr }
    summary span { grid-column: 3 }
    dl { margin-left: .5rem }
  }
</style>
<h1>Conveyor: the API</h1>
<p>Version ${escapeHtml(version)}. Errors are <code>application/problem+json</code>. Lists are arrays; the next page is
in the header <code>Link</code>. The same for machines: <a href="/openapi/json">/openapi/json</a>.</p>
${sections.join("\n")}
</html>
`
}

function renderRoute(route: Route): string {
  const query = Object.entries(route.query ?? {}).map(
    ([name, text]) => `<dt><code>?${escapeHtml(name)}</code></dt><dd>${escapeHtml(text)}</dd>`,
  )
  const headers = Object.entries(route.headers ?? {}).map(
    ([name, text]) => `<dt><code>${escapeHtml(name)}</code></dt><dd>${escapeHtml(text)}</dd>`,
  )
  const answers = Object.entries(route.responses).map(
    ([status, shape]) =>
      `<dt>${status}</dt><dd>${escapeHtml(shape.description)}${shape.type === "json" ? renderSchema(shape.schema) : ""}</dd>`,
  )
  return `<details><summary><b class="${route.method}">${route.method}</b><code>${escapeHtml(route.path)}</code><span>${escapeHtml(route.summary)}</span></summary>
<dl>${query.join("")}${headers.join("")}${route.body === undefined ? "" : `<dt>Body</dt><dd>${renderSchema(route.body)}</dd>`}${answers.join("")}</dl></details>`
}

function renderSchema(schema: GenericSchema): string {
  return `<pre>${escapeHtml(JSON.stringify(schemaOf(schema), null, 2))}</pre>`
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
}
