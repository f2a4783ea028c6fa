import { expect, test } from "bun:test"
import { join } from "node:path"
import { until } from "../rig/until.ts"
import { isAlive, openDrivers } from "./driver-rig.ts"

test("a driver sees the whole attempt", async () => {
  await using drivers = await openDrivers({
    "d.ts": `import { defineDriver } from "conveyor"
export default defineDriver({
  reconcile: ({ log, exec, defer, signal, ...rest }) => ({ success: true, message: "seen", data: rest }),
})`,
  })
  const attempt = drivers.attempt("d", {
    attempt: 2,
    event: "update",
    input: { a: 1 },
    metadata: { m: true },
    env: { E: "1" },
    results: { before: { success: true, message: "ok", data: [1] } },
  })
  expect((await attempt.result).data).toMatchObject({
    resource: { name: "shop", resource: "app" },
    event: "update",
    input: { a: 1 },
    metadata: { m: true },
    env: { E: "1" },
    results: { before: { success: true, message: "ok", data: [1] } },
    run: { id: attempt.runId, pipeline: "release", createdAt: "2026-01-01T00:00:00.000Z" },
    step: { id: "step", driver: "d" },
    attempt: 2,
    token: attempt.token,
    workspace: attempt.workspace,
  })
})

test.each([
  ["a default export", "export default { Name: 'old', Resources: ['app'], Reconcile }"],
  ["named exports", "export const name = 'old', resources = ['app']; export { Reconcile }"],
  ["CommonJS", "module.exports = { name: 'old', Resources: ['app'], Reconcile }"],
])("a driver of the older contract loads unchanged: %s", async (_, exports) => {
  await using drivers = await openDrivers({
    "legacy.js": `
async function Reconcile(payload, event, runId, logger) {
  const resource = JSON.parse(payload)
  logger.log("plain " + event); logger.info("info"); logger.warn("warn"); logger.error("error")
  logger.Log({ label: "x" }, "labelled")
  return { success: true, message: runId, data: { name: resource.name, shared: resource.metadata.shared } }
}
${exports}`,
  })
  expect(drivers.host.find("old")).toMatchObject({ type: "legacy", resources: ["app"] })
  const resource = {
    id: "1",
    name: "shop",
    resource: "app",
    version: 1,
    metadata: { shared: 1 },
    spec: null,
    createdAt: "2026-01-01T00:00:00.000Z",
    updatedAt: "2026-01-01T00:00:00.000Z",
  }
  const attempt = drivers.attempt("old", { resource })
  expect(await attempt.result).toEqual({
    success: true,
    message: attempt.runId,
    data: { name: "shop", shared: 1 },
  })
  expect(attempt.messages("log")).toEqual(["plain create", "info", "warn", "error", "labelled"])
})

test("an executable gets JSON, logs on stderr, and answers on stdout", async () => {
  await using drivers = await openDrivers({
    greet: `#!/bin/sh
input=$(cat)
echo "got \${#input} characters" >&2
pwd >&2
printf '{"success": true, "message": "hello", "data": %s}' "$input"
`,
    "greet.json": `{ "resources": ["app"] }`,
  })
  expect(drivers.host.find("greet")).toMatchObject({
    type: "executable",
    resources: ["app"],
    source: "greet",
  })
  const { success, message, data, attempt } = await drivers.run("greet", { word: "ü" })
  expect({ success, message }).toEqual({ success: true, message: "hello" })
  expect(data).toMatchObject({
    input: { word: "ü" },
    step: { id: "step", driver: "greet" },
    token: attempt.token,
  })
  expect(attempt.messages("log")).toEqual([expect.stringMatching(/^got \d+ characters$/), attempt.workspace])
})

test.each([
  ["true", true, ""],
  ["exit 3", false, "The driver ended with exit code 3"],
  [`echo '{"success": false, "message": "no"}'`, false, "no"],
  [`echo '{"success": true}'; exit 3`, false, "The driver said success and ended with exit code 3"],
  ["echo hello", false, /^The driver printed "hello" on its standard output; expected nothing or/],
  [
    "head -c 140000000 /dev/zero",
    false,
    "The driver printed more than 134217728 bytes on its standard output",
  ],
])("an executable that does `%s` ends as its author would expect", async (script, success, message) => {
  await using drivers = await openDrivers({ program: `#!/bin/sh\n${script}\n` })
  const result = await drivers.run("program")
  expect(result.success).toBe(success)
  expect(result.message).toMatch(message === "" ? /^$/ : message)
})

test("an executable gives data as large as a module does", async () => {
  const script = `printf '{"success": true, "data": "'; head -c 5000000 /dev/zero | tr '\\0' x; printf '"}'`
  await using drivers = await openDrivers({ program: `#!/bin/sh\n${script}\n` })
  const { success, data } = await drivers.run("program")
  expect([success, data === "x".repeat(5_000_000)]).toEqual([true, true])
})

test("an executable is ended with all it started when its attempt is", async () => {
  await using drivers = await openDrivers({
    slow: `#!/bin/sh\nsetsid sh -c 'trap "" TERM; echo $$ > pid; while :; do sleep 600; done' &\nwait\n`,
  })
  const attempt = drivers.attempt("slow", { graceMs: 50 })
  const pid = Number(
    await until("it runs", () =>
      Bun.file(join(attempt.workspace, "pid"))
        .text()
        .catch(() => undefined),
    ),
  )
  attempt.abort("too slow")
  expect(await attempt.result).toEqual({ success: false, message: "too slow" })
  expect(await isAlive(pid)).toBe(false)
})

test("a sidecar that says something else than resources is a fault", async () => {
  await using drivers = await openDrivers({ program: "#!/bin/sh\n", "program.json": `{ "resource": "app" }` })
  expect(drivers.host.faults()).toMatchObject([{ file: "program.json" }])
  expect(drivers.host.find("program")).toBeUndefined()
})

test.each([
  [
    "echo text",
    "The executable cannot be started: it is no program of this machine, and its first line does not start with #!",
  ],
  ["#!/no/such/shell\n", "The executable cannot be started: what its #! line names is not there"],
])("an executable that cannot be started says why: %j", async (text, message) => {
  await using drivers = await openDrivers({ program: text })
  expect(await drivers.run("program")).toMatchObject({ success: false, message })
})

test("a module whose import cannot be found is a fault that names it", async () => {
  await using drivers = await openDrivers({
    "d.ts": `import pad from "no-such-package"\nexport default { reconcile: () => ({ success: true, message: pad }) }`,
  })
  expect(drivers.host.faults()).toMatchObject([
    { file: "d.ts", line: 1, message: expect.stringContaining("no-such-package") },
  ])
})
