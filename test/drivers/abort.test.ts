import { expect, test } from "bun:test"
import { until } from "../rig/until.ts"
import { openDrivers } from "./driver-rig.ts"

const deaf = `
import { defineDriver } from "conveyor"
export default defineDriver({
  async reconcile(ctx) {
    await Bun.write(ctx.workspace + "/ready", "")
    await new Promise(() => {})
  },
})
`

test("an abort that gives less time than the attempt's own grace period is heeded", async () => {
  await using drivers = await openDrivers({ "deaf.ts": deaf })
  const attempt = drivers.attempt("deaf", { graceMs: 600_000 })
  await until("it is ready", () => Bun.file(`${attempt.workspace}/ready`).exists())
  attempt.abort("this host no longer holds the attempt", 20)
  expect(await attempt.result).toEqual({ success: false, message: "this host no longer holds the attempt" })
})
