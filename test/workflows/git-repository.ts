import { cp } from "node:fs/promises"
import { join } from "node:path"
import { tempFolder } from "../rig/temp-folder.ts"

/** A real repository. It goes with its scope. */
export interface GitRepository extends AsyncDisposable {
  readonly path: string
  /** The newest commit on `main`. */
  head(): Promise<string>
  /** Writes the files and commits them on that branch, which begins where `main` is; answers the commit. */
  commit(files: Readonly<Record<string, string>>, branch?: string): Promise<string>
  /** Puts a tag on the newest commit. */
  tag(name: string): Promise<void>
}

const identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]
const env = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" }

/** Makes one whose first commit, on `main`, is the `repository` folder of the workflow. */
export async function gitRepository(workflow: string): Promise<GitRepository> {
  const { path, ...folder } = await tempFolder()
  const git = async (...args: string[]): Promise<string> => {
    const child = Bun.spawn(["git", "-C", path, ...identity, ...args], { env, stderr: "pipe" })
    const [stdout, stderr, exit] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
    if (exit !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`)
    return stdout.trim()
  }
  const commitAll = async (text: string) => {
    await git("add", "--all")
    await git("commit", "--quiet", "-m", text)
    return await git("rev-parse", "HEAD")
  }
  await git("init", "--quiet", "--initial-branch=main")
  await cp(join(import.meta.dir, workflow, "repository"), path, { recursive: true })
  await commitAll("The beginning")
  return {
    ...folder,
    path,
    head: () => git("rev-parse", "main"),
    async commit(files, branch = "main") {
      await git("checkout", "--quiet", ...(branch === "main" ? ["main"] : ["-B", branch, "main"]))
      for (const [file, text] of Object.entries(files)) await Bun.write(join(path, file), text)
      return await commitAll(Object.keys(files).join(", "))
    },
    async tag(name) {
      await git("tag", name)
    },
  }
}
