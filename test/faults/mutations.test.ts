import { expect, test } from "bun:test"
import { join } from "node:path"
import { mutations } from "./mutations.ts"

const root = join(import.meta.dir, "../..")

test("each mutation is of a text that stands in its file once", async () => {
  const found = await Promise.all(
    mutations.map(async ({ name, file, text }) => {
      const source = await Bun.file(join(root, file)).text()
      return { name, times: source.split(text).length - 1 }
    }),
  )
  expect(found.filter(({ times }) => times !== 1)).toEqual([])
})
