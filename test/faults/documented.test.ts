import { expect, test } from "bun:test"
import { join } from "node:path"

/*
 * The rows of docs/faults.md and the tests they name in their last cell: `file`: "title", with "…" for what differs from
 * case to case.
 */

const root = join(import.meta.dir, "../..")

interface Claim {
  readonly file: string
  readonly title: string
}

/** What the last cell of each row says, in the order of the rows. */
async function claimsOfRows(): Promise<readonly { readonly fault: string; readonly claims: Claim[] }[]> {
  const text = await Bun.file(join(root, "docs/faults.md")).text()
  const rows = text.split("\n").filter((line) => line.startsWith("|") && !/^\|( fault |---)/.test(line))
  return rows.map((row) => {
    const cells = row.split("|").map((cell) => cell.trim())
    return { fault: cells[1] ?? "", claims: claimsOf(cells.at(-2) ?? "") }
  })
}

function claimsOf(cell: string): Claim[] {
  return [...cell.matchAll(/`(test\/[^`]+\.ts)`: ((?:(?!`test\/).)*)/g)].flatMap(([, file = "", said = ""]) =>
    [...said.matchAll(/"([^"]+)"/g)].map(([, title = ""]) => ({ file, title })),
  )
}

/** The titles in a file of tests, each alone and behind each of those above it, as that of a group is. */
async function titlesIn(file: string): Promise<string[]> {
  const source = Bun.file(join(root, file))
  if (!(await source.exists())) return []
  const found = (await source.text()).matchAll(/(["'`])((?:(?!\1)[^\\\n]|\\.)+)\1,\s*(?:async )?[({]/g)
  const titles = [...found].map(([, , title = ""]) => title)
  return titles.flatMap((title, at) => [title, ...titles.slice(0, at).map((group) => `${group} ${title}`)])
}

/** What a file gives a name to later: `$name`, `%s`. */
const places = /\$\w+|%\w/g

function isTitled(titles: readonly string[], title: string): boolean {
  const said = patternOf(title.split("…"))
  const core = title.replace(/^… | …$/g, "")
  return titles.some((each) => {
    const parts = each.split(places)
    // A title that is little but places would be any title.
    return said.test(each) || (parts.join("").length > 10 && patternOf(parts).test(core))
  })
}

/** These parts with anything between them. */
function patternOf(parts: readonly string[]): RegExp {
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`)
}

test("every fault in docs/faults.md names the test that shows it", async () => {
  const rows = await claimsOfRows()
  expect(rows.length).toBeGreaterThan(50)
  expect(rows.filter(({ claims }) => claims.length === 0).map(({ fault }) => fault)).toEqual([])
})

test("every test that docs/faults.md names is there, under that title", async () => {
  const missing: string[] = []
  for (const { file, title } of (await claimsOfRows()).flatMap(({ claims }) => claims)) {
    if (!isTitled(await titlesIn(file), title)) missing.push(`${file}: ${title}`)
  }
  expect(missing).toEqual([])
})
