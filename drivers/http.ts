/**
 * Sends one HTTP request.
 *
 *   with:
 *     url: https://deploy.example/hooks/shop
 *     method: POST                      # default: GET, or POST when there is something to send
 *     headers: { authorization: "…" }
 *     json: { version: 3 }              # sent as JSON; or `body`, a text sent as it is
 *     file: out/shop.tar.gz             # or a file sent as it is, relative to the workspace
 *     expect: 200                       # a status, a range "200-299" (the default), or a list of both
 *     to: in/answer.tar.gz              # a file that an expected answer is written to, relative to the workspace
 *
 * Without `url`, the resource's `spec.url` is taken. Redirects are followed. The step's timeout ends the request. Data:
 * `{ status, headers, body }`; the body is JSON where the response says it is, else text, of which
 * 128 KiB are kept. A status that was not expected is a failure with the same data. With `to`, the body of an expected
 * answer is in the file alone, and the data has `{ path, sizeBytes }` of it, the path absolute.
 */
import { mkdir, rename, rm } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { defineDriver, type Json, NotRetryable } from "conveyor"
import * as v from "valibot"

const statusSchema = v.union(
  [
    v.pipe(v.number(), v.integer(), v.minValue(100), v.maxValue(599)),
    v.pipe(v.string(), v.regex(/^\d{3}(-\d{3})?$/)),
  ],
  'Expected a status such as 200 or a range such as "200-299"',
)
const urlSchema = v.pipe(
  v.string(),
  v.regex(/^https?:\/\//, "Expected a URL that starts with http:// or https://"),
)
const anySchema = v.custom<Json>(() => true)
const fieldsSchema = v.strictObject(
  {
    url: v.optional(v.pipe(urlSchema, v.description("Where to; default: the `url` of the resource's spec"))),
    method: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[A-Za-z]+$/, "Expected a method such as GET"),
        v.description("Default: GET, or POST when there is something to send"),
      ),
    ),
    headers: v.optional(v.pipe(v.record(v.string(), v.string()), v.description("Headers of the request"))),
    body: v.optional(v.pipe(v.string(), v.description("A text that is sent as it is"))),
    json: v.optional(v.pipe(anySchema, v.description("Sent as JSON"))),
    file: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty("Expected a path"),
        v.description("A file that is sent as it is, relative to the workspace"),
      ),
    ),
    to: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty("Expected a path"),
        v.description("The file that an expected answer is written to, relative to the workspace"),
      ),
    ),
    expect: v.optional(
      v.pipe(
        v.union([statusSchema, v.array(statusSchema)]),
        v.description('Which answers are a success: a status, a range such as "200-299", or a list of both'),
      ),
      "200-299",
    ),
  },
  (issue) =>
    issue.expected === "never"
      ? "There is no such input; there are url, method, headers, body, json, file, to, expect"
      : issue.message,
)
const inputSchema = v.pipe(
  fieldsSchema,
  v.check((input) => sentOf(input).length <= 1, "Expected one of json, body and file, not several"),
  v.check(
    (input) => sentOf(input).length === 0 || !isSilent(input.method),
    (issue) =>
      `A ${issue.input.method?.toUpperCase()} request sends nothing; expected another method, such as POST`,
  ),
)
const outputSchema = v.object({
  status: v.number(),
  headers: v.record(v.string(), v.string()),
  body: v.pipe(anySchema, v.description("JSON where the response says so, else text; empty with `to`")),
  path: v.optional(v.pipe(v.string(), v.description("What was written, with `to`; absolute"))),
  sizeBytes: v.optional(v.number()),
})
/** A result holds a megabyte of JSON, where one character may become six. */
const bodyLengthMax = 128 * 1024

export default defineDriver({
  input: inputSchema,
  output: outputSchema,
  readsResults: false,
  async reconcile(ctx) {
    const { headers = {}, json, expect, to } = ctx.input
    const spec = v.safeParse(v.object({ url: urlSchema }), ctx.resource.spec)
    const url = ctx.input.url ?? (spec.success ? spec.output.url : undefined)
    if (url === undefined)
      return { success: false, message: "Expected a `url`, in the step or in the resource's spec" }
    const sent = await contentOf(ctx.input, ctx.workspace)
    const method = (ctx.input.method ?? (sent === undefined ? "GET" : "POST")).toUpperCase()
    const target = `${method} ${withoutSecrets(url)}`
    const response = await fetch(url, {
      method,
      headers: json === undefined ? headers : { "content-type": "application/json", ...headers },
      ...(sent === undefined ? {} : { body: sent }),
      signal: ctx.signal,
    }).catch((cause: Error) => {
      throw new Error(`${target} got no answer: ${cause.message}`, { cause })
    })
    const success = [expect].flat().some((range) => covers(range, response.status))
    const data = {
      status: response.status,
      headers: Object.fromEntries(response.headers),
      ...(success && to !== undefined
        ? { body: "", ...(await writeBody(response, resolve(ctx.workspace, to))) }
        : { body: await readBody(response) }),
    }
    ctx.log(`${target}: ${response.status}`)
    const wanted = success ? "" : `, expected ${[expect].flat().join(" or ")}`
    return { success, message: `${target} answered ${response.status}${wanted}`, data }
  },
})

type Content = Pick<v.InferOutput<typeof fieldsSchema>, "json" | "body" | "file">

function sentOf({ json, body, file }: Content): readonly unknown[] {
  return [json, body, file].filter((content) => content !== undefined)
}

/** Does nobody take a body with this method? */
function isSilent(method = "POST"): boolean {
  return /^(get|head)$/i.test(method)
}

/** The query may carry a token, and what stands before the host a password. */
function withoutSecrets(url: string): string {
  return (url.split(/[?#]/, 1)[0] ?? "").replace(/\/\/[^/]*@/, "//")
}

/** What there is to send. */
async function contentOf(
  { json, body, file }: Content,
  workspace: string,
): Promise<string | Blob | undefined> {
  if (json !== undefined) return JSON.stringify(json)
  if (file === undefined) return body
  const content = Bun.file(resolve(workspace, file))
  if (!(await content.exists())) throw new NotRetryable(`There is no file ${resolve(workspace, file)}`)
  return content
}

/** Writes the body to a file, which is there only when all of it is. */
async function writeBody(response: Response, path: string): Promise<{ path: string; sizeBytes: number }> {
  const unfinished = `${path}.${process.pid}-${Bun.randomUUIDv7()}.unfinished`
  await mkdir(dirname(path), { recursive: true })
  try {
    const sizeBytes = await Bun.write(unfinished, response)
    await rename(unfinished, path)
    return { path, sizeBytes }
  } finally {
    await rm(unfinished, { force: true })
  }
}

async function readBody(response: Response): Promise<Json> {
  const text = await readText(response)
  const isJson = /[/+]json\b/.test(response.headers.get("content-type") ?? "")
  if (isJson && text.length <= bodyLengthMax) {
    try {
      return JSON.parse(text)
    } catch {
      // It says JSON and is none: the text is what there is to show.
    }
  }
  return text.slice(0, bodyLengthMax)
}

/** The text, or a beginning of it that is over the limit: an answer may have no end. */
async function readText(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ""
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    if (text.length > bodyLengthMax) return text
  }
  return text + decoder.decode()
}

function covers(range: string | number, status: number): boolean {
  const [from, to = from] = String(range).split("-").map(Number)
  return from !== undefined && to !== undefined && from <= status && status <= to
}
