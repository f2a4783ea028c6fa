import { expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { buildExecutable } from "../../rig/executable.ts"
import { tempFolder } from "../../rig/temp-folder.ts"
import { runSoak } from "./run-soak.ts"
import type { SoakReport } from "./soak-report.ts"

test("three hosts in constant trouble lose no run and make no transition twice", async () => {
  await using executable = await buildExecutable()
  await using parent = await tempFolder()
  const folder = join(parent.path, "soak")
  const reports: SoakReport[] = []
  const { sentences, ...verdict } = await runSoak({
    executable: executable.path,
    forMs: 8_000,
    hosts: 3,
    store: "etcd",
    seed: 1,
    folder,
    runsPerSecond: 3,
    faultEveryMs: 500,
    lineEveryMs: 1_000,
    onLine: (report) => reports.push(report),
  })
  expect(sentences).toEqual([])
  expect(verdict).toMatchObject({ lost: 0, breaches: 0, open: 0 })
  expect(verdict.acknowledged).toBe(verdict.submitted)
  expect(verdict.ended).toBe(verdict.submitted)
  expect(verdict.kills + verdict.pauses + verdict.drains).toBeGreaterThan(0)
  expect(reports.length).toBeGreaterThan(0)
  expect(existsSync(folder)).toBe(false)
}, 240_000)
