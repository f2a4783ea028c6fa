import { describe, expect, test } from "bun:test"
import { jsonOutput, type RunOutput, textOutput } from "../../src/cli/run-output.ts"
import { styleFor } from "../../src/cli/terminal.ts"
import type { RunView, StepView } from "../../src/model/run-view.ts"

const plain = styleFor({ isTTY: false }, {})
const step: StepView = { id: "build", driver: "shell", needs: [], status: "pending", message: "", attempt: 0 }
const running: StepView = { ...step, status: "running", attempt: 1 }
const succeeded: StepView = {
  ...running,
  status: "succeeded",
  durationMs: 1_500,
  result: { success: true, message: "", data: { path: "/w/app.tar.gz", sha256: "abc" } },
}
const failed: StepView = { ...running, status: "failed", durationMs: 20, message: "exit code 2" }
const line = { sequence: 1, step: "build", stream: "stdout", message: "hello", timestamp: "" }

function runOf(status: RunView["status"], steps: readonly StepView[]): RunView {
  const resource = { type: "app", name: "web", version: 1 }
  return {
    runId: "r1",
    status,
    message: "",
    event: "create",
    resource,
    createdAt: "",
    durationMs: 2_000,
    steps,
  }
}

function written(
  tell: (output: RunOutput) => void,
  make = (write: (text: string) => void) => textOutput(write, plain),
) {
  let text = ""
  tell(
    make((more) => {
      text += more
    }),
  )
  return text
}

describe("the text of a run", () => {
  test("announces a step once, shows its lines behind its name, and ends it with its duration", () => {
    const text = written((output) => {
      for (const view of [step, running, running]) output.step(view)
      output.log(line)
      for (const view of [succeeded, succeeded]) output.step(view)
    })
    expect(text).toBe("▶ build shell\n  build | hello\n✓ build 1.5s\n")
  })

  test("marks a notice, which is no line of a step", () => {
    const notice = { ...line, sequence: 0, stream: "notice", message: "Host b has been gone" }
    expect(written((output) => output.log(notice))).toMatch(/^! .*Host b has been gone\n$/)
  })

  test("says why a step was cancelled", () => {
    const view: StepView = { ...failed, status: "cancelled", message: "the run is stopping" }
    expect(written((output) => output.step(view))).toBe("✗ build 20ms: the run is stopping\n")
  })

  test("says why a step failed, and numbers later attempts", () => {
    const text = written((output) => {
      output.step({ ...running, attempt: 2 })
      output.step({ ...failed, attempt: 2 })
    })
    expect(text).toBe("▶ build (attempt 2) shell\n✗ build (attempt 2) 20ms: exit code 2\n")
  })

  test("has no time of a step that failed before it could begin", () => {
    const view: StepView = { ...step, status: "failed", message: "no key: branch" }
    expect(written((output) => output.step(view))).toBe("✗ build: no key: branch\n")
    const { durationMs: _, ...run } = runOf("failed", [view])
    const ended = written((output) => output.ended({ ...run, message: "it failed" }, {}))
    expect(ended).toStartWith("\n✗ failed: it failed\n  ✗ build  failed: no key: branch\n")
  })

  test("ends with the artifacts and the places", () => {
    const text = written((output) =>
      output.ended(runOf("succeeded", [succeeded]), { workspace: "/w", log: "/l" }),
    )
    expect(text).toContain("✓ succeeded 2.0s")
    expect(text).toContain("artifact   /w/app.tar.gz\n  SHA-256  abc\n")
    expect(text).toEndWith("run        r1\nworkspace  /w\nlog        /l\n")
  })

  test("names the steps that were skipped, and why", () => {
    const skipped: StepView = { ...step, id: "ship", status: "skipped", message: "its condition is false: a" }
    const text = written((output) => output.ended(runOf("failed", [failed, skipped]), {}))
    expect(text).toContain("✗ build  20ms: exit code 2\n  · ship   skipped: its condition is false: a\n")
  })

  test("says once what the run as a whole waits for, and again when that is another thing", () => {
    const concurrency = { key: "deploy", limit: 1, policy: "queue", queuedAt: "9:00" } as const
    const { queuedAt: _, ...admitted } = concurrency
    const queued = { ...runOf("pending", []), concurrency, message: "waiting for the key" }
    const held = { ...runOf("running", []), concurrency: admitted, heldSince: "9:05", message: "held" }
    const text = written((output) => {
      for (const run of [queued, queued, { ...runOf("running", []), concurrency: admitted }]) output.run(run)
      for (const run of [held, held, runOf("running", []), { ...held, heldSince: "9:10" }]) output.run(run)
    })
    expect(text).toBe("… waiting for the key\n… held\n… held\n")
  })

  test("lets no escape sequence of a step reach the terminal", () => {
    const message = "\x1b[2Jred \x1b[31mherring\x1b[0m\x1b]0;title\x07\ttab\x08\x9b1m"
    expect(written((output) => output.log({ ...line, message }))).toBe("  build | red herring\ttab\n")
    const waiting: StepView = { ...step, status: "waiting", message }
    expect(written((output) => output.step(waiting))).toBe("… build red herring\ttab\n")
    const made = {
      ...succeeded,
      result: { success: true, message: "", data: { path: message, sha256: message } },
    }
    const text = written((output) => output.ended(runOf("succeeded", [made]), {}))
    expect(text).toContain("artifact   red herring\ttab\n  SHA-256  red herring\ttab\n")
  })
})

describe("the JSON of a run", () => {
  test("is one object to a line, the run at the end", () => {
    const run = runOf("succeeded", [succeeded])
    const text = written((output) => {
      output.run(runOf("running", []))
      output.step(running)
      output.log(line)
      output.ended(run, {})
    }, jsonOutput)
    const objects = text
      .trimEnd()
      .split("\n")
      .map((each): unknown => JSON.parse(each))
    expect(objects).toEqual([
      { type: "run", runId: "r1", status: "running", message: "" },
      { type: "step", ...running },
      { type: "log", ...line },
      run,
    ])
  })
})

describe("colours", () => {
  test("are for a terminal, unless NO_COLOR is set", () => {
    expect(styleFor({ isTTY: true }, {}).red("x")).toBe("\x1b[31mx\x1b[0m")
    expect(styleFor({ isTTY: true }, { NO_COLOR: "1" }).red("x")).toBe("x")
    expect(styleFor({}, {}).red("x")).toBe("x")
  })
})
