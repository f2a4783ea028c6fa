import { expect, test } from "bun:test"
import { bringsNew } from "../../src/store/disk-room.ts"
import {
  claimKey,
  concurrencyKey,
  hostLeaseKey,
  pipelineRevisionKey,
  resourceKey,
  runKey,
  stepKey,
} from "../../src/store/keys.ts"
import type { Lease, Write } from "../../src/store/store.ts"

const put = (key: string, lease?: Lease): Write => ({
  type: "put",
  key,
  value: "",
  ...(lease === undefined ? {} : { lease }),
})
const lease: Lease = { id: "l", ttlMs: 1_000 }
const there = new Set([runKey("r"), resourceKey("app", "shop")])
const isNew = (...writes: readonly Write[]) => bringsNew(writes, (key) => there.has(key))

test.each<[string, readonly Write[]]>([
  [
    "the next step of a run, with its claim",
    [put(stepKey("r", "build")), put(claimKey("r", "build"), lease)],
  ],
  ["the end of a run", [put(runKey("r")), put(stepKey("r", "ship"))]],
  ["a run that takes its concurrency key", [put(runKey("r")), put(concurrencyKey("production"))]],
  ["a host under a new lease", [put(hostLeaseKey("h"), lease)]],
  ["a delete", [{ type: "delete", key: "anything" }]],
])("a full disk has room for %s", (_, writes) => {
  expect(isNew(...writes)).toBe(false)
})

test.each<[string, readonly Write[]]>([
  ["a resource and its run", [put(resourceKey("app", "cart")), put(runKey("s")), put(stepKey("s", "build"))]],
  ["a new version of a resource, whose run is new", [put(resourceKey("app", "shop")), put(runKey("s"))]],
  ["steps of a run that is about to begin behind another one", [put(stepKey("s", "build"))]],
  ["a revision of a pipeline", [put(pipelineRevisionKey("hash"))]],
])("a full disk has no room for %s", (_, writes) => {
  expect(isNew(...writes)).toBe(true)
})
