import { afterAll, beforeAll, expect, test } from "bun:test"
import { startEtcd } from "../rig/etcd.ts"
import { defragment, empty, fillUp } from "../rig/etcd-space.ts"
import { buildExecutable, runToEnd } from "../rig/executable.ts"
import { until } from "../rig/until.ts"
import { ConstantLoad } from "./constant-load.ts"
import { argumentsOf, startFleet } from "./live-fleet.ts"

/* etcd has more data than its quota allows: it reads, deletes and renews leases, and takes nothing new. */

const testMsMax = 60_000
const outOfSpace =
  "etcd is out of space and takes no writes: defragment its members, then disarm the alarm (etcdctl defrag --cluster; etcdctl alarm disarm)"

let executable: Awaited<ReturnType<typeof buildExecutable>>
beforeAll(async () => {
  executable = await buildExecutable()
}, 120_000)
afterAll(() => executable[Symbol.asyncDispose]())

test(
  "etcd out of space: people are told what to do, no lease is lost, and the host goes on by itself when there is room",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500, quotaBytes: 16_000_000 })
    await using fleet = await startFleet([etcd.endpoint])
    const host = await fleet.host({ endpoints: [etcd.endpoint] })
    await using load = new ConstantLoad([host.url], { everyMs: 150 })
    await load.more(10)

    await fillUp(etcd)
    const refusal = await load.nextRefusal()
    expect(refusal).toMatchObject({
      status: 503,
      contentType: "application/problem+json",
      detail: outOfSpace,
    })
    const unhealthy = await fetch(`${host.url}/health`)
    expect(unhealthy.status).toBe(503)
    expect(await unhealthy.json()).toMatchObject({ store: "unavailable", error: outOfSpace })
    await until("its log says it", () => host.said.some((said) => said.includes(outOfSpace)))
    // What is there can be read, so people see where their runs are.
    expect((await fetch(`${host.url}/runs/${load.acknowledged[0]}`)).status).toBe(200)

    const settings = fleet.settings({ endpoints: [etcd.endpoint] })
    const serve = [executable.path, "serve", ...argumentsOf(settings)]
    const refused = await runToEnd(serve, { cwd: fleet.folder })
    expect(refused).toMatchObject({ exit: 3, stderr: expect.stringContaining(`conveyor: ${outOfSpace}`) })

    await empty(etcd)
    await etcd.compact((await fleet.store.list("")).revision)
    await defragment(etcd)
    await load.more(20)
    expect((await fetch(`${host.url}/health`)).status).toBe(200)
    await load.stop()
    await fleet.nothingIsLost(load.acknowledged, [host])
    for (const { status, detail } of load.refusals) expect([status, detail]).toEqual([503, outOfSpace])
    const said = host.said.map((sentence) => sentence.split(":")[0])
    expect(said.filter((words, index) => said.indexOf(words) !== index)).toEqual([])
    expect(said.filter((words) => words?.includes("lease"))).toEqual([])
  },
  testMsMax,
)
