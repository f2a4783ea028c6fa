import { expect, test } from "bun:test"
import { openDrivers } from "./driver-rig.ts"

const printing = ["sh", "-c", 'echo "$STEP_ONE $STEP_TWO"; test -n "$PATH"']

test("the step's variables are in ctx.env, and in the environment of its commands", async () => {
  await using drivers = await openDrivers({
    "print.js": `export default { async reconcile(ctx) {
      const { stdout } = await ctx.exec(${JSON.stringify(printing)}, { env: { STEP_TWO: "command" } })
      return { success: true, data: { env: ctx.env, stdout, own: process.env.STEP_ONE ?? null } }
    } }`,
  })
  const env = { STEP_ONE: "step", STEP_TWO: "step" }
  const { data } = await drivers.attempt("print", { env }).result
  // A worker's own process is the host's, whose environment stays as it is.
  expect(data).toEqual({ env, stdout: "step command\n", own: null })
})

test("an executable has the step's variables in its environment", async () => {
  await using drivers = await openDrivers({
    program: `#!/bin/sh\ncat >&2\nprintf '{"success": true, "message": "%s %s"}' "$STEP_ONE" "$(basename "$CONVEYOR_DRIVER_FILE")"\n`,
  })
  const attempt = drivers.attempt("program", { env: { STEP_ONE: "one", CONVEYOR_DRIVER_FILE: "mine" } })
  expect((await attempt.result).message).toBe("one program")
  expect(attempt.messages().join("")).toContain('"env":{"STEP_ONE":"one"')
})

test("the shell driver's own variables go over the step's", async () => {
  await using drivers = await openDrivers()
  const { data } = await drivers.attempt("shell", {
    env: { STEP_ONE: "step", STEP_TWO: "step" },
    input: { run: 'echo "$STEP_ONE $STEP_TWO"', env: { STEP_TWO: "with" } },
  }).result
  expect(data).toMatchObject({ stdout: "step with\n" })
})
