import type { Fault } from "./fault.ts"
import { nearestName } from "./nearest.ts"
import {
  type Pipeline,
  type PipelineStep,
  type Retry,
  type StepRole,
  stepsMax,
  timeoutMsDefault,
} from "./pipeline.ts"
import type { EnsureStepSource, PipelineSource, StepSource } from "./pipeline-source.ts"
import { present } from "./present.ts"

/**
 * Writes out what a source implies: step ids (the driver's name, numbered when it stands there again), `needs`
 * (the step above), the steps of `ensure` and `finally` as steps with a role, and defaults; and finds what no schema can:
 * ids used twice, needs of unknown steps, cycles. Returns every fault at once, each with its path; a source with faults
 * yields no pipeline.
 */
export function resolvePipeline(source: PipelineSource): { pipeline: Pipeline } | { faults: Fault[] } {
  const nodes = nodesOf(source)
  const faults = [...repeatedIds(nodes), ...unknownNeeds(nodes)]
  if (nodes.length > stepsMax) {
    faults.push({ message: `Expected at most ${stepsMax} steps, cleanup included`, path: "/steps" })
  }
  if (faults.length > 0) return { faults }

  const steps = nodes.map(resolveStep(source))
  const cycle = findCycle(steps)
  if (cycle !== undefined) {
    const path = nodes.find(({ id }) => id === cycle[0])?.path ?? ""
    return {
      faults: [{ message: `The steps wait for each other: ${cycle.join(" → ")}`, path: `${path}/needs` }],
    }
  }
  return {
    pipeline: present({
      name: source.name,
      description: source.description,
      version: source.version,
      resource: source.resource,
      on: source.on ?? ["create"],
      metadata: source.metadata ?? {},
      env: source.env,
      host: source.host,
      maxParallel: source.maxParallel,
      failFast: source.failFast === false ? (false as const) : undefined,
      ...timeoutOf(source.timeout),
      holdMs: source.hold,
      concurrency: source.concurrency && {
        key: source.concurrency.key,
        limit: source.concurrency.limit ?? 1,
        policy: source.concurrency.policy ?? "queue",
      },
      priority: source.priority === 0 ? undefined : source.priority,
      steps,
    }),
  }
}

interface Need {
  readonly id: string
  readonly optional: boolean
  /** Where it is written; absent when it is implied. */
  readonly path?: string
}

/** A step wherever it stands, with its id and what it waits for. */
interface Node {
  readonly id: string
  readonly source: StepSource | EnsureStepSource
  readonly path: string
  readonly needs: readonly Need[]
  readonly role?: StepRole
}

/** All steps: those of the way, then those of `ensure`, then those of `finally`. */
function nodesOf(source: PipelineSource): readonly Node[] {
  const cleanup = source.finally ?? []
  const ensured = source.steps.map(({ ensure }) => (ensure === undefined ? [] : [ensure].flat()))
  const idOf = idsBeside([...source.steps, ...ensured.flat(), ...cleanup])
  const steps = source.steps.map((step): Node & { readonly id: string } => ({
    id: idOf(step, step.driver),
    source: step,
    path: "",
    needs: [],
  }))
  const way = steps.map((node, index): Node => {
    const step = source.steps[index] as StepSource
    const above = steps[index - 1]
    const path = `/steps/${index}`
    const implied = above === undefined ? [] : [{ id: above.id, optional: false }]
    return { ...node, path, needs: writtenNeeds(step, path) ?? implied }
  })
  const ensures = way.flatMap(({ id: of, path }, index) => {
    const before: string[] = [of]
    return (ensured[index] ?? []).map((step, at): Node => {
      const id = idOf(step, `${of}.ensure`)
      const needs = before.map((need) => ({ id: need, optional: true }))
      before.push(id)
      const place = Array.isArray(source.steps[index]?.ensure) ? `/${at}` : ""
      return { id, source: step, path: `${path}/ensure${place}`, needs, role: { type: "ensure", of } }
    })
  })
  let above: string | undefined
  const last = cleanup.map((step, index): Node => {
    const id = idOf(step, step.driver)
    const path = `/finally/${index}`
    const implied = above === undefined ? [] : [{ id: above, optional: true }]
    above = id
    return { id, source: step, path, needs: writtenNeeds(step, path) ?? implied, role: { type: "finally" } }
  })
  return [...way, ...ensures, ...last]
}

function writtenNeeds(step: Pick<StepSource, "needs">, path: string): readonly Need[] | undefined {
  return step.needs?.map((need, at) =>
    typeof need === "string"
      ? { id: need, optional: false, path: `${path}/needs/${at}` }
      : { id: need.step, optional: need.optional ?? false, path: `${path}/needs/${at}` },
  )
}

/** Answers each step's own id, or else the name proposed for it, numbered when that is taken. */
function idsBeside(sources: readonly { readonly id?: string | undefined }[]) {
  const taken = new Set(sources.flatMap(({ id }) => id ?? []))
  /** The next number to try for each name, so that many alike do not all count from the start. */
  const numbers = new Map<string, number>()
  return ({ id: own }: { readonly id?: string | undefined }, proposed: string): string => {
    if (own !== undefined) return own
    let n = numbers.get(proposed) ?? 1
    let id = n === 1 ? proposed : `${proposed}-${n}`
    while (taken.has(id)) id = `${proposed}-${++n}`
    numbers.set(proposed, n + 1)
    taken.add(id)
    return id
  }
}

function resolveStep({ queueTimeout }: PipelineSource) {
  return ({ id, source, needs, role }: Node): PipelineStep => {
    const optional = needs.filter((need) => need.optional).map((need) => need.id)
    return present({
      id,
      name: source.name,
      driver: source.driver,
      with: source.with,
      needs: [...new Set(needs.map((need) => need.id))],
      optional: optional.length === 0 ? undefined : [...new Set(optional)],
      if: source.if?.trim(),
      role,
      env: source.env,
      timeoutMs: timeoutMsDefault,
      ...timeoutOf(source.timeout),
      queueTimeoutMs: source.queueTimeout ?? queueTimeout,
      retry: source.retry && retryOf(source.retry),
      continueOnError: source.continueOnError === true ? (true as const) : undefined,
      effects: source.effects,
    })
  }
}

function timeoutOf(timeout: number | string | undefined) {
  if (timeout === undefined) return {}
  return typeof timeout === "number" ? { timeoutMs: timeout } : { timeout }
}

function retryOf(retry: NonNullable<StepSource["retry"]>): Retry {
  return present({
    attempts: retry.attempts,
    backoffMs: retry.backoff ?? 0,
    maxBackoffMs: retry.maxBackoff,
    jitter: retry.jitter === 0 ? undefined : retry.jitter,
    on: retry.on,
  })
}

function repeatedIds(nodes: readonly Node[]): Fault[] {
  const first = new Map<string, Node>()
  return nodes.flatMap((node) => {
    const earlier = first.get(node.id)
    if (earlier === undefined) {
      first.set(node.id, node)
      return []
    }
    return [
      { message: `The id "${node.id}" is already used by ${placeOf(earlier)}`, path: `${node.path}/id` },
    ]
  })
}

/** `step 2`, `a step of finally`: how a person finds it. */
function placeOf({ path, role }: Node): string {
  if (role === undefined) return `step ${Number(path.slice("/steps/".length)) + 1}`
  return role.type === "ensure" ? `an ensure step of "${role.of}"` : "a step of finally"
}

/** Steps of the way need each other, and those of `finally` each other: they start when the way is over anyhow. */
function unknownNeeds(nodes: readonly Node[]): Fault[] {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  return nodes.flatMap((node) =>
    node.needs.flatMap(({ id: need, path }) => {
      const other = byId.get(need)
      const isPeer = other !== undefined && other.role?.type === node.role?.type
      return path === undefined || isPeer ? [] : [wrongNeed(need, { path, node, other, nodes })]
    }),
  )
}

function wrongNeed(
  need: string,
  {
    path,
    node,
    other,
    nodes,
  }: {
    readonly path: string
    readonly node: Node
    readonly other: Node | undefined
    readonly nodes: readonly Node[]
  },
): Fault {
  if (other !== undefined) {
    const why =
      node.role === undefined
        ? `it is ${placeOf(other)}, which no step of the way can wait for`
        : "the steps of finally start when all others have ended, and may need only each other"
    return { message: `The step "${need}" cannot be needed here: ${why}`, path }
  }
  const ids = nodes.filter(({ role }) => role?.type === node.role?.type).map(({ id }) => id)
  const nearest = nearestName(need, ids)
  const message = `No step has the id "${need}"; expected one of ${listNames(ids)}`
  return { message, path, ...(nearest === undefined ? {} : { nearest }) }
}

function listNames(names: readonly string[]): string {
  const distinct = [...new Set(names)]
  const shown = distinct.slice(0, 8).map((name) => `"${name}"`)
  return distinct.length > shown.length ? `${shown.join(", ")}, …` : shown.join(", ")
}

/** Ids along one cycle, the first repeated at the end; undefined when there is none. Iterative: chains may be long. */
function findCycle(steps: readonly PipelineStep[]): string[] | undefined {
  const needs = new Map(steps.map((step) => [step.id, step.needs]))
  const done = new Set<string>()
  for (const { id: root } of steps) {
    const path: string[] = []
    const onPath = new Set<string>()
    const stack: { id: string; leave: boolean }[] = [{ id: root, leave: false }]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      if (top.leave) {
        path.pop()
        onPath.delete(top.id)
        done.add(top.id)
        continue
      }
      if (onPath.has(top.id)) return [...path.slice(path.indexOf(top.id)), top.id]
      if (done.has(top.id)) continue
      path.push(top.id)
      onPath.add(top.id)
      stack.push({ id: top.id, leave: true })
      for (const need of needs.get(top.id) ?? []) stack.push({ id: need, leave: false })
    }
  }
  return undefined
}
