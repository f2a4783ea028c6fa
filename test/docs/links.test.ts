import { expect, test } from "bun:test"
import { existsSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { Glob } from "bun"
import { sectionsOf } from "../rig/markdown.ts"

const root = resolve(import.meta.dir, "../..")
const pages = ["README.md", ...[...new Glob("docs/*.md").scanSync(root)].sort()]

/** The anchors of a page, as GitHub makes them of its headings. */
async function anchorsOf(page: string): Promise<readonly string[]> {
  return sectionsOf(await Bun.file(page).text()).map(({ heading }) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\- _]/gu, "")
      .replaceAll(" ", "-"),
  )
}

for (const page of pages) {
  test(`each link of ${page} leads to a file and a heading that are there`, async () => {
    const text = await Bun.file(join(root, page)).text()
    const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)]
    for (const [link, file = "", anchor] of links) {
      const target = file === "" ? join(root, page) : resolve(root, dirname(page), file)
      expect({ link, exists: existsSync(target) }).toEqual({ link, exists: true })
      if (anchor === undefined) continue
      const found = (await anchorsOf(target)).includes(anchor)
      expect({ link, in: relative(root, target), found }).toEqual({
        link,
        in: relative(root, target),
        found: true,
      })
    }
  })
}
