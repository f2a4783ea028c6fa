import { expect, test } from "bun:test"
import { createClient } from "../../src/cli/client.ts"
import { followRun } from "../../src/cli/follow-run.ts"
import type { RunOutput } from "../../src/cli/run-output.ts"

const ended = {
  id: "build",
  driver: "shell",
  status: "failed",
  message: "",
  attempt: 1,
  result: { success: false },
}
const lines = Array.from({ length: 1_500 }, (_, index) => ({
  sequence: index + 1,
  step: "build",
  message: "x",
}))
const events = (...data: readonly [event: string, data: object][]) =>
  new Response(data.map(([event, value]) => `event: ${event}\ndata: ${JSON.stringify(value)}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" },
  })

test("a step's lines are told once each, in order, and before its end, also where the log comes late", async () => {
  const told: string[] = []
  const stepTold = Promise.withResolvers<void>()
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/runs/:id/events": () => events(["step", ended], ["end", {}]),
      "/logs/pipeline/:id": async () => {
        await stepTold.promise
        return events(...lines.map((line): [string, object] => ["message", line]), ["end", {}])
      },
      "/logs": (request) => {
        const query = new URL(request.url).searchParams
        const after = Number(query.get("after"))
        return Response.json(lines.slice(after, after + Number(query.get("limit"))))
      },
      "/runs/:id": () => Response.json({ runId: "r1", steps: [ended] }),
    },
  })
  const output: RunOutput = {
    started() {},
    run() {},
    log: (line) => void told.push(String(line.sequence)),
    step: (step) => {
      told.push(`${step.id} ${step.status}`)
      stepTold.resolve()
    },
    ended() {},
  }
  const { signal } = new AbortController()
  const run = await followRun(createClient(server.url.href), { runId: "r1", output, signal })
  expect(run.runId).toBe("r1")
  expect(told).toEqual([...lines.map(({ sequence }) => String(sequence)), "build failed"])
})

test("lines that come before the start of their step is told wait for it", async () => {
  const told: string[] = []
  const lineTold = Promise.withResolvers<void>()
  const of = (step: string, sequence: number) => ({
    sequence,
    step,
    stream: "stdout",
    message: `a line of ${step}`,
  })
  const view = (id: string, status: string) => ({ ...ended, id, status, result: undefined })
  const done = (id: string) => ({ ...ended, id, status: "succeeded", result: { success: true } })
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/runs/:id/events": async () => {
        await lineTold.promise
        const steps = [view("build", "running"), done("build"), view("test", "running"), done("test")]
        return events(...steps.map((step): [string, object] => ["step", step]), ["end", {}])
      },
      "/logs/pipeline/:id": () =>
        events(
          ["message", of("build", 1)],
          ["message", of("test", 2)],
          ["message", { sequence: 3, stream: "api", message: "of no step" }],
          ["end", {}],
        ),
      "/logs": () => Response.json([]),
      "/runs/:id": () => Response.json({ runId: "r1", steps: [] }),
    },
  })
  const output: RunOutput = {
    started() {},
    run() {},
    log: ({ message }) => {
      told.push(message)
      if (message === "of no step") lineTold.resolve()
    },
    step: ({ id, status }) => void told.push(`${id} ${status}`),
    ended() {},
  }
  const { signal } = new AbortController()
  await followRun(createClient(server.url.href), { runId: "r1", output, signal })
  expect(told).toEqual([
    "of no step",
    ...["build running", "a line of build", "build succeeded"],
    ...["test running", "a line of test", "test succeeded"],
  ])
})

test("lines of two places are told once each, and that lines are missing is told once", async () => {
  const told: string[] = []
  const line = (place: number, sequence: number) => ({
    sequence,
    ...(place === 0 ? {} : { place }),
    stream: "stdout",
    message: `${place}:${sequence}`,
  })
  const lines = [line(0, 1), line(1, 1), line(0, 2), line(1, 2)]
  const notice = { sequence: 0, stream: "notice", message: "gone" }
  const stepTold = Promise.withResolvers<void>()
  await using server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    routes: {
      "/runs/:id/events": () => events(["step", ended], ["end", {}]),
      "/logs/pipeline/:id": async () => {
        await stepTold.promise
        const sent = [...lines, notice, notice, line(1, 3)]
        return events(...sent.map((each): [string, object] => ["message", each]), ["end", {}])
      },
      "/logs": () => Response.json(lines),
      "/runs/:id": () => Response.json({ runId: "r1", steps: [ended] }),
    },
  })
  const output: RunOutput = {
    started() {},
    run() {},
    log: ({ message }) => void told.push(message),
    step: () => stepTold.resolve(),
    ended() {},
  }
  const { signal } = new AbortController()
  await followRun(createClient(server.url.href), { runId: "r1", output, signal })
  expect(told).toEqual(["0:1", "1:1", "0:2", "1:2", "gone", "1:3"])
})
