/** What a driver writes down outside of Conveyor, with a word for each thing that it did. */
export interface Note {
  readonly run: string
  readonly step: string
  readonly attempt: number
  readonly token: string
  /** Of the pipeline: its metadata's `edit`. */
  readonly edit?: number
  /** `begun`; `line <n>`, once that line is acknowledged; `done`. */
  readonly word: string
}

/**
 * The source of a driver that notes what it does in the resource's journal, logs three lines, and leaves a process
 * behind that only the end of its attempt ends. It takes `sleepMs`, fails before attempt `goodFrom` and without a `text`
 * of the length `takes`, and gives a text of the length `gives`. Its probe believes the journal and nothing else.
 */
export function noteDriver({ resources }: { readonly resources: readonly string[] }): string {
  return `import { appendFileSync, readFileSync } from "node:fs"
import { defineDriver } from "conveyor"
export default defineDriver({
  resources: ${JSON.stringify(resources)},
  async reconcile(ctx) {
    const { attempt, token } = ctx
    const step = ctx.step.id
    const about = { run: ctx.run.id, step, attempt, token, edit: ctx.metadata.edit }
    const note = (word) => appendFileSync(ctx.resource.spec.journal, JSON.stringify({ ...about, word }) + "\\n")
    note("begun")
    for (let line = 1; line <= 3; line++) {
      await ctx.log("line " + line)
      note("line " + line)
    }
    await ctx.exec(["sh", "-c", "sleep 600 & sleep " + (ctx.input.sleepMs ?? 10) / 1000])
    note("done")
    const { goodFrom = 1, gives, takes, text } = ctx.input
    const success = attempt >= goodFrom && text?.length === takes
    const message = step + (success ? " is done" : " is broken")
    return gives === undefined ? { success, message } : { success, message, data: { text: "x".repeat(gives) } }
  },
  async probe(ctx) {
    const lines = readFileSync(ctx.resource.spec.journal, "utf8").split("\\n").slice(0, -1)
    const isDone = (line) => line.includes(JSON.stringify(ctx.token)) && JSON.parse(line).word === "done"
    return lines.some(isDone) ? { success: true, message: ctx.step.id + " is done" } : undefined
  },
})
`
}

/** Whole lines only: somebody may have been killed while they wrote the last one. */
export function jsonLines<Line>(text: string): Line[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line)
}

/** One line of a run's log file. */
export interface LoggedLine {
  readonly sequence: number
  readonly step?: string
  readonly attempt?: number
  readonly stream: string
  readonly message: string
}

/** What is wrong with a run's log file on one host, by what drivers noted; undefined when nothing is. */
export function faultOfLog(lines: readonly LoggedLine[], notes: readonly Note[]): string | undefined {
  const gap = lines.findIndex(({ sequence }, index) => sequence !== index + 1)
  if (gap >= 0) return `line ${gap + 1} has the number ${lines[gap]?.sequence}`
  for (const { step, attempt, word } of notes) {
    const count = Number(/^line (\d)$/.exec(word)?.[1] ?? 0)
    const own = lines.filter(
      (line) => line.step === step && line.attempt === attempt && line.stream === "log",
    )
    for (let line = 1; line <= count; line++) {
      if (own[line - 1]?.message !== `line ${line}`) return `line ${line} of ${step}#${attempt} is not there`
    }
  }
  return undefined
}
