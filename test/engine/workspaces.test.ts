import { expect, test } from "bun:test"
import { chmod, mkdir, readdir, readlink, stat, symlink } from "node:fs/promises"
import { join } from "node:path"
import { Workspaces } from "../../src/engine/workspaces.ts"
import type { Run } from "../../src/model/run.ts"
import { tempFolder } from "../rig/temp-folder.ts"

const run = (workspaceFrom?: string): Run => ({
  runId: "after",
  event: "create",
  resource: { type: "app", name: "shop", version: 1 },
  status: "pending",
  createdAt: "2026-01-01T00:00:00.000Z",
  ...(workspaceFrom === undefined ? {} : { workspaceFrom }),
})

test("a run that goes on behind another begins with a copy of its workspace, made once", async () => {
  await using folder = await tempFolder()
  const workspaces = new Workspaces(folder.path)
  await mkdir(join(workspaces.pathOf("before"), "bin"), { recursive: true })
  await Bun.write(join(workspaces.pathOf("before"), "bin/tool"), "one")
  await chmod(join(workspaces.pathOf("before"), "bin/tool"), 0o755)
  await symlink("bin/tool", join(workspaces.pathOf("before"), "link"))
  const said = await Promise.all([workspaces.prepare(run("before")), workspaces.prepare(run("before"))])
  const copied = "the workspace is a copy of that of run before"
  expect(said).toEqual([copied, copied])
  const path = workspaces.pathOf("after")
  expect((await stat(join(path, "bin/tool"))).mode & 0o777).toBe(0o755)
  expect(await readlink(join(path, "link"))).toBe("bin/tool")
  await Bun.write(join(path, "bin/tool"), "two")
  expect(await workspaces.prepare(run("before"))).toBeUndefined()
  expect(await Bun.file(join(path, "bin/tool")).text()).toBe("two")
  expect(await Bun.file(join(workspaces.pathOf("before"), "bin/tool")).text()).toBe("one")
})

test("a copy that a crash cut short is made anew", async () => {
  await using folder = await tempFolder()
  const workspaces = new Workspaces(folder.path)
  await Bun.write(join(workspaces.pathOf("before"), "file"), "whole")
  await Bun.write(join(folder.path, ".after", "half"), "")
  await workspaces.prepare(run("before"))
  expect(await readdir(workspaces.pathOf("after"))).toEqual(["file"])
  expect((await readdir(folder.path)).sort()).toEqual(["after", "before"])
})

test("a workspace that is not on this host is said to be missing", async () => {
  await using folder = await tempFolder()
  const workspaces = new Workspaces(folder.path)
  expect(await workspaces.prepare(run("before"))).toContain("begins with an empty one")
  expect(await workspaces.prepare(run())).toBeUndefined()
})
