import { expect, test } from "bun:test"
import { processesOf } from "../../src/drivers/living-processes.ts"
import { openDrivers } from "./driver-rig.ts"

test("the processes of an attempt are told on one line each, in whole characters", async () => {
  await using drivers = await openDrivers()
  const script = `echo began\n\tsleep 600 # ${"🚂".repeat(100)}`
  const attempt = drivers.attempt("shell", { input: { run: script }, graceMs: 0 })
  await attempt.line("began")
  const found = processesOf(attempt.runId)?.({ stepId: "step", attempt: 1 }) ?? []
  attempt.abort()
  await attempt.result
  const [shell] = found.map(({ command }) => command).filter((command) => command.includes("-eu"))
  expect(shell).toMatch(/^sh -eu -c echo began sleep 600 # 🚂+…$/u)
})
