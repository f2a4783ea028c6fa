/*
 * `bun run test/faults/mutate.ts`: is the simulation worth anything? Each mutation of mutations.ts is made in a copy of
 * the sources, and the simulation is played on it from several seeds on, until it notices. Prints how many seeds that
 * took; `--only TEXT` plays the mutations with this in their name. Each seed that noticed is played once more and must
 * come to the same. Ends with 1 when a mutation goes unnoticed, or a seed does not replay.
 */
import { cp, mkdir, symlink } from "node:fs/promises"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { tempFolder } from "../rig/temp-folder.ts"
import { type Mutation, mutations } from "./mutations.ts"

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } })

const root = resolve(import.meta.dir, "../..")
const firstSeeds = [1, 1_001, 2_001, 3_001]
const seedsMax = 250
/** A wrong engine may go round in circles for ever. */
const playMsMax = 60_000
const atOnce = 2

/** What a play from one seed on came to: seeds until it was noticed, and by what. */
type Outcome = { readonly seeds: number; readonly breach: string } | "unnoticed"

const cell = (text: string | number, width: number) => String(text).padEnd(width)
const row = (name: string, cells: readonly (string | number)[], breach: string) =>
  process.stdout.write(`${cell(name, 60)}${cells.map((each) => cell(each, 8)).join("")}${breach}\n`)

row("mutation", [...firstSeeds.map((seed) => `@${seed}`), "mean"], "first noticed as")
const waiting = mutations.filter(({ name }) => name.includes(values.only))
let failures = 0
await Promise.all(
  Array.from({ length: atOnce }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await drill(next)
  }),
)
process.exit(failures > 0 ? 1 : 0)

async function drill(mutation: Mutation): Promise<void> {
  await using copy = await tempFolder()
  await mutateInto(copy.path, mutation)
  const outcomes: Outcome[] = []
  for (const seed of firstSeeds) outcomes.push(await playTwice(copy.path, seed))
  const noticed = outcomes.filter((outcome) => outcome !== "unnoticed")
  if (noticed.length === 0) failures++
  const tried = outcomes.map((outcome) => (outcome === "unnoticed" ? seedsMax : outcome.seeds))
  const sum = tried.reduce((total, seeds) => total + seeds, 0)
  // As many seeds as it takes on average, by how often it was noticed among all that were tried.
  const mean = noticed.length === 0 ? "-" : Math.round(sum / noticed.length)
  const cells = outcomes.map((outcome) => (outcome === "unnoticed" ? "-" : outcome.seeds))
  row(mutation.name, [...cells, mean], noticed[0]?.breach ?? "UNNOTICED")
}

/** Copies what the simulation needs, with the mutation made. Throws when its text is not there exactly once. */
async function mutateInto(folder: string, { name, file, text, becomes }: Mutation): Promise<void> {
  await mkdir(join(folder, "test"))
  for (const part of ["src", "test/faults", "test/rig", "package.json", "tsconfig.json"]) {
    await cp(join(root, part), join(folder, part), { recursive: true })
  }
  await symlink(join(root, "node_modules"), join(folder, "node_modules"))
  const path = join(folder, file)
  const [before, after, ...more] = (await Bun.file(path).text()).split(text)
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${file} does not hold the text of "${name}" exactly once`)
  }
  await Bun.write(path, before + becomes + after)
}

/** Plays until a seed notices, and that seed again. */
async function playTwice(folder: string, first: number): Promise<Outcome> {
  const outcome = await play(folder, { first, seeds: seedsMax })
  if (outcome === "unnoticed") return outcome
  const again = await play(folder, { first: first + outcome.seeds - 1, seeds: 1 })
  if (again !== "unnoticed" && again.breach === outcome.breach) return outcome
  failures++
  return { ...outcome, breach: `${outcome.breach} DOES NOT REPLAY` }
}

async function play(
  folder: string,
  { first, seeds }: { readonly first: number; readonly seeds: number },
): Promise<Outcome> {
  const options = ["--seed", String(first), "--seeds", String(seeds)]
  const child = Bun.spawn([process.execPath, "run", "test/faults/simulate.ts", ...options], {
    cwd: folder,
    stdout: "ignore",
    stderr: "pipe",
  })
  const timer = setTimeout(() => child.kill("SIGKILL"), playMsMax)
  const [words, code] = await Promise.all([child.stderr.text(), child.exited])
  clearTimeout(timer)
  if (code === 0) return "unnoticed"
  const found = /^seed (\d+): (.*)$/m.exec(words)
  if (found === null) return { seeds: 1, breach: child.killed ? "it never ends" : words.trim().slice(0, 80) }
  return { seeds: Number(found[1]) - first + 1, breach: (found[2] ?? "").slice(0, 80) }
}
