import { expect, test } from "bun:test"
import { join } from "node:path"

const root = join(import.meta.dir, "../..")

/** What docs/faults.md says is shown where: `file`: "title", with "…" for what differs from case to case. */
async function claims() {
  const text = await Bun.file(join(root, "docs/faults.md")).text()
  return [...text.matchAll(/`(test\/[^`]+\.ts)`: "([^"]+)"/g)].map(([, file = "", title = ""]) => ({
    file,
    title,
  }))
}

test("every fault of docs/faults.md has a test that shows it", async () => {
  const text = await Bun.file(join(root, "docs/faults.md")).text()
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| fault |"))
  expect(rows.length).toBeGreaterThan(40)
  expect(rows.filter((row) => !/`test\/[^`]+\.ts`: "/.test(row))).toEqual([])
})

test("every test that docs/faults.md names is there, under that title", async () => {
  const all = await claims()
  expect(all.length).toBeGreaterThan(10)
  const missing = []
  for (const { file, title } of all) {
    const source = await Bun.file(join(root, file))
      .text()
      .catch(() => "")
    const parts = title.split("…").map((part) => part.trim())
    if (!parts.every((part) => source.includes(part))) missing.push(`${file}: ${title}`)
  }
  expect(missing).toEqual([])
})
