import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { parse, parseAllDocuments } from "yaml"
import { shippedNames } from "../../src/drivers/shipped.ts"
import { parseFile } from "../../src/loader/parse.ts"
import { describeFault } from "../../src/model/fault.ts"
import { pipelineFields, pipelineSourceSchema } from "../../src/model/pipeline-source.ts"
import { fencedBlocks, sectionsOf } from "../rig/markdown.ts"

/*
 * docs/pipelines.md has a section for each field that the source schema has, and for no other: with its type, its
 * default, what is refused of it, and an example that has it.
 */

const markdown = await Bun.file(join(import.meta.dir, "../../docs/pipelines.md")).text()
const drivers = await shippedNames()

type Owner = "pipeline" | "step"
interface FieldSection {
  /** `retry.backoff` */
  readonly field: string
  readonly of: Owner
  readonly text: string
}

const sections = sectionsOf(markdown).flatMap(({ heading, text }): FieldSection[] => {
  const [, field, of] = /^`([\w.]+)` of a (pipeline|step)$/.exec(heading) ?? []
  return field === undefined ? [] : [{ field, of: of as Owner, text }]
})

/** Of a schema of valibot, as much as holds fields. */
interface SchemaNode {
  readonly type: string
  readonly entries?: Readonly<Record<string, SchemaNode>>
  readonly wrapped?: SchemaNode
  readonly item?: SchemaNode
  readonly options?: readonly unknown[]
  readonly pipe?: readonly SchemaNode[]
}

/** The fields of a mapping and of those in it: `retry`, `retry.attempts`. Steps in it are passed over. */
function fieldsOf(schema: SchemaNode, passedOver: readonly string[] = []): string[] {
  return Object.entries(entriesOf(schema)).flatMap(([field, inner]) => [
    field,
    ...(passedOver.includes(field) ? [] : fieldsOf(inner).map((nested) => `${field}.${nested}`)),
  ])
}

/** What a mapping has, seen through everything that it may be wrapped in. */
function entriesOf(schema: SchemaNode): Readonly<Record<string, SchemaNode>> {
  if (schema.entries !== undefined) return schema.entries
  const options = (schema.options ?? []).filter((option): option is SchemaNode => typeof option === "object")
  const inner = [schema.wrapped, schema.item, schema.pipe?.[0], ...options]
  return Object.assign({}, ...inner.flatMap((each) => (each === undefined ? [] : [entriesOf(each)])))
}

const pipeline: SchemaNode = pipelineSourceSchema
const step: SchemaNode = pipelineSourceSchema.entries.steps

/** The pipeline as JSON with a field written into it, or into its second step. */
function pipelineWith(of: Owner, fields: object): string {
  const build = { id: "build", driver: "shell" }
  return JSON.stringify({
    name: "example",
    resource: "app",
    steps: of === "pipeline" ? [build] : [build, { id: "test", driver: "shell", ...fields }],
    ...(of === "pipeline" ? fields : {}),
  })
}

async function hashOf(json: string): Promise<string | undefined> {
  const { declarations, faults } = await parseFile("example.json", json, { drivers })
  expect(faults).toEqual([])
  return declarations[0]?.hash
}

test("the reference has a section for each field, and for no field that does not exist", () => {
  const all = [
    ...fieldsOf(pipeline, ["steps", "finally"]).map((field) => `${field} of a pipeline`),
    ...fieldsOf(step, ["ensure"]).map((field) => `${field} of a step`),
  ]
  expect(all).toContain("concurrency.policy of a pipeline")
  expect(all).toContain("needs.optional of a step")
  expect(sections.map(({ field, of }) => `${field} of a ${of}`).sort()).toEqual(all.sort())
})

test("steps of finally and ensure have the fields of a step, but for those the reference says", () => {
  const { step: all, finally: last, ensure } = pipelineFields
  expect(all.filter((field) => !last.includes(field))).toEqual(["ensure"])
  expect(all.filter((field) => !ensure.includes(field))).toEqual(["needs", "ensure"])
  expect([...last, ...ensure].filter((field) => !all.includes(field))).toEqual([])
})

describe("the section of", () => {
  for (const { field, of, text } of sections) {
    const name = `${field} of a ${of}`

    test(`${name} says its type and its default, which is what stands for it when it is left out`, async () => {
      const [, written, isRequired] = /^\nType: .+\. (?:Default: (.+)|(Required))\.\n/.exec(text) ?? []
      expect([written, isRequired]).not.toEqual([undefined, undefined])
      const [, value] = /^`(.+)`$/.exec(written ?? "") ?? []
      if (value === undefined) return
      const [outer = "", inner] = field.split(".")
      const beside = { concurrency: { key: "k" }, retry: { attempts: 2 }, needs: { step: "build" } }[outer]
      const asList = (mapping: object) => (outer === "needs" ? [mapping] : mapping)
      const left = inner === undefined ? {} : { [outer]: asList(beside ?? {}) }
      const read = parse(value) as unknown
      const said = { [outer]: inner === undefined ? read : asList({ ...beside, [inner]: read }) }
      expect(await hashOf(pipelineWith(of, said))).toBe(await hashOf(pipelineWith(of, left)))
    })

    test(`${name} says what is refused`, async () => {
      const refused = [...text.matchAll(/^- `(.+?)` — (.+)$/gm)]
      expect(refused.length).toBeGreaterThan(0)
      for (const [, snippet = "", message] of refused) {
        const { faults } = await parseFile("example.json", pipelineWith(of, parse(snippet) as object), {
          drivers,
        })
        const said = faults.map(({ message, nearest }) =>
          describeFault(nearest === undefined ? { message } : { message, nearest }),
        )
        expect({ snippet, said }).toEqual({ snippet, said: [message ?? ""] })
      }
    })

    test(`${name} has an example with it`, () => {
      const [outer] = field.split(".")
      const whole = sections.filter((each) => each.of === of && each.field.split(".")[0] === outer)
      const examples = whole
        .flatMap((each) => fencedBlocks(each.text))
        .flatMap(({ text }) => parseAllDocuments(text))
      expect(examples.some((example) => has(example.toJS(), { field, of }))).toBe(true)
    })
  }
})

/** Does an example say something of this field? */
function has(example: unknown, { field, of }: Pick<FieldSection, "field" | "of">): boolean {
  const { steps = [], finally: last = [] } = example as { steps?: unknown[]; finally?: unknown[] }
  const owners = of === "pipeline" ? [example] : [...steps, ...last]
  return field
    .split(".")
    .reduce<unknown[]>(
      (found, name) =>
        found.flatMap((each) => {
          const value = (each as Record<string, unknown> | null)?.[name]
          return value === undefined ? [] : [value].flat()
        }),
      owners,
    )
    .some((value) => value !== undefined)
}
