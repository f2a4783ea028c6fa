import { expect, test } from "bun:test"
import { startEtcd } from "../rig/etcd.ts"
import { until } from "../rig/until.ts"
import { ConstantLoad, type Refusal } from "./constant-load.ts"
import { type LiveHost, startFleet } from "./live-fleet.ts"

/*
 * Real hosts on a real etcd, under constant load, while something happens to etcd. Each test says what people see
 * meanwhile, and waits until all is well again by itself; then everything that was acknowledged must be there.
 */

const testMsMax = 60_000
/** No answer of a host takes longer than its questions to etcd may, and a little. */
const answerMsMax = 7_000
const leaseLost = "the host's lease is lost: its attempts end and others may take them over"

test.concurrent(
  "etcd killed with kill -9: submits are refused until it is back, and nothing is lost",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using fleet = await startFleet([etcd.endpoint])
    const hosts = await twoHosts((options) => fleet.host(options), etcd.endpoint)
    await using load = new ConstantLoad(
      hosts.map(({ url }) => url),
      { everyMs: 50 },
    )
    await load.more(10)

    await etcd.kill()
    expectRefusal(
      await load.nextRefusal(),
      /^etcd at 127.0.0.1:\d+ does not answer: No connection established/,
    )
    for (const host of hosts) {
      await until("it is not healthy", async () => (await health(host)).status === 503)
      expect(await health(host)).toMatchObject({
        store: "unavailable",
        error: expect.stringMatching(/^etcd at .* does not answer/),
      })
      await until("its lease is lost", () => host.said.includes(leaseLost))
    }

    await etcd.restart()
    await load.more(20)
    await load.stop()
    await fleet.nothingIsLost(load.acknowledged, hosts)
    expectRefusals(load)
    for (const host of hosts) expectFewWords(host)
  },
  testMsMax,
)

async function twoHosts(
  start: (options: { endpoints: readonly string[] }) => Promise<LiveHost>,
  ...endpoints: string[]
) {
  const [one = "", other = one] = endpoints
  return [await start({ endpoints: [one] }), await start({ endpoints: [other] })] as const
}

async function health(host: LiveHost) {
  const response = await fetch(`${host.url}/health`)
  return { ...((await response.json()) as { store: string; error?: string }), status: response.status }
}

function expectRefusal({ status, contentType, detail }: Refusal, why: RegExp): void {
  expect([status, contentType]).toEqual([503, "application/problem+json"])
  expect(detail).toMatch(why)
}

/** Every submit that was not acknowledged was refused in words, and in time. */
function expectRefusals(load: ConstantLoad): void {
  for (const refusal of load.refusals) {
    expectRefusal(refusal, /^etcd /)
    expect(refusal.ms).toBeLessThan(answerMsMax)
  }
}

/** An outage is a few lines in a host's log, each said once. */
function expectFewWords({ said }: LiveHost): void {
  console.log(said)
  expect(new Set(said).size).toBe(said.length)
}
