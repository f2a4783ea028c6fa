/**
 * Clones a ref of a git repository into the workspace. Done again in the same workspace, it brings what is there to
 * the ref.
 *
 *   with:
 *     url: https://git.example/shop.git   # or a path; a relative one starts at the host's working directory
 *     ref: main                           # a branch, a tag or a commit; default: the repository's HEAD
 *     depth: 1                            # only so many commits; default: all
 *     path: source                        # relative to the workspace; default: the workspace itself
 *
 * Without `url`, the resource's `spec.url` or `spec.repo` is taken; without `ref`, its `spec.ref`. Nothing is ever
 * asked for: a repository that wants a password fails. Data: `{ commit, ref, path }`, with the full commit id and the
 * absolute path.
 */
import { mkdir } from "node:fs/promises"
import { resolve } from "node:path"
import { type DriverContext, defineDriver } from "conveyor"
import * as v from "valibot"

const inputSchema = v.strictObject(
  {
    url: v.optional(
      v.pipe(
        v.string(),
        v.nonEmpty("Expected a URL or a path"),
        v.description("A URL or a path; default: the `url` or `repo` of the resource's spec"),
      ),
    ),
    ref: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[^-\s][^\s~^:?*[\\]*$/, "Expected a branch, a tag or a commit"),
        v.description("A branch, a tag or a commit; default: the `ref` of the resource's spec, else HEAD"),
      ),
    ),
    depth: v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1), v.description("Only so many commits; default: all")),
    ),
    path: v.optional(v.pipe(v.string(), v.description("Where to, relative to the workspace")), "."),
  },
  (issue) =>
    issue.expected === "never" ? "There is no such input; there are url, ref, depth, path" : issue.message,
)
const outputSchema = v.object({
  commit: v.pipe(v.string(), v.description("The full id")),
  ref: v.string(),
  path: v.pipe(v.string(), v.description("Absolute")),
})
const specSchema = v.object({
  url: v.fallback(v.optional(v.string()), undefined),
  repo: v.fallback(v.optional(v.string()), undefined),
  ref: v.fallback(inputSchema.entries.ref, undefined),
})

const environment = {
  GIT_TERMINAL_PROMPT: "0",
  GIT_ASKPASS: "true",
  SSH_ASKPASS: "true",
  GIT_SSH_COMMAND: process.env["GIT_SSH_COMMAND"] ?? "ssh -o BatchMode=yes",
  // A host that was started from a git hook must not have its own repository changed.
  GIT_DIR: undefined,
  GIT_WORK_TREE: undefined,
  GIT_INDEX_FILE: undefined,
}

export default defineDriver({
  input: inputSchema,
  output: outputSchema,
  readsResults: false,
  async reconcile(ctx) {
    const spec = v.safeParse(specSchema, ctx.resource.spec)
    const from = spec.success ? spec.output : {}
    const url = ctx.input.url ?? from.url ?? from.repo
    if (url === undefined)
      return { success: false, message: "Expected a `url`, in the step or in the resource's spec" }
    const ref = ctx.input.ref ?? from.ref ?? "HEAD"
    const path = resolve(ctx.workspace, ctx.input.path)
    await mkdir(path, { recursive: true })

    const git = gitIn(ctx, path)
    await git("init", "--quiet")
    await git("config", "remote.origin.url", absoluteUrl(url))
    await git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    await git(
      "checkout",
      "--quiet",
      "--force",
      "--detach",
      await fetchCommit(git, { ref, depth: ctx.input.depth }),
    )
    const commit = (await git("rev-parse", "HEAD")).stdout.trim()
    return { success: true, message: `${ref} is ${commit.slice(0, 12)}`, data: { commit, ref, path } }
  },
})

type Git = (...args: string[]) => Promise<{ readonly exitCode: number; readonly stdout: string }>

/** Throws with git's own words, which are in the log too. */
function gitIn(ctx: DriverContext, path: string): Git {
  return async (...args) => {
    const result = await ctx.exec(["git", "-c", "advice.detachedHead=false", "-C", path, ...args], {
      env: environment,
      allowFailure: true,
    })
    if (result.exitCode === 0) return result
    const lines = result.stderr.trim().split("\n")
    const reason = lines.find((line) => /^(fatal|error):/.test(line)) ?? lines.at(-1)
    throw new Error(`git ${args[0]} failed: ${reason || `exit code ${result.exitCode}`}`)
  }
}

/** Fetches what the ref needs and answers a name for its commit. */
async function fetchCommit(
  git: Git,
  { ref, depth }: { readonly ref: string; readonly depth: number | undefined },
): Promise<string> {
  const isCommit = /^[0-9a-f]{7,64}$/.test(ref)
  if (!isCommit || (depth !== undefined && /^[0-9a-f]{40,64}$/.test(ref))) {
    const shallow = depth === undefined ? ["--tags"] : [`--depth=${depth}`]
    try {
      await git("fetch", "--quiet", "--force", ...shallow, "origin", ref)
      return "FETCH_HEAD"
    } catch (error) {
      // Some servers give out commits only by the branches and tags they are on.
      if (!isCommit) throw error
    }
  }
  await git("fetch", "--quiet", "--force", "--tags", "origin")
  const name = `${ref}^{commit}`
  try {
    await git("rev-parse", "--quiet", "--verify", name)
  } catch (cause) {
    throw new Error(`The repository has no commit ${ref}`, { cause })
  }
  return name
}

function absoluteUrl(url: string): string {
  return /^[a-z+]+:\/\/|^[^/]+:/i.test(url) ? url : resolve(url)
}
