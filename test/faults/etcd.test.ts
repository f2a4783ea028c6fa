import { expect, test } from "bun:test"
import { prefixes } from "../../src/store/keys.ts"
import { startEtcd, startEtcdCluster } from "../rig/etcd.ts"
import { startTcpProxy } from "../rig/tcp-proxy.ts"
import { until } from "../rig/until.ts"
import { ConstantLoad, type Refusal } from "./constant-load.ts"
import { type LiveFleet, type LiveHost, startFleet } from "./live-fleet.ts"

/*
 * Real hosts on a real etcd, under constant load, while something happens to etcd. Each test says what people see
 * meanwhile, and waits until all is well again by itself; then everything that was acknowledged must be there.
 */

const testMsMax = 60_000
/** A question to etcd is given up after 5 s. A submit asks several, so one may have been answered slowly before. */
const answerMsMax = 12_000
const leaseLost = "the host's lease is lost: its attempts end and others may take them over"

test.concurrent(
  "etcd stopped for longer than the lease: hosts give their attempts up, and go on when it is back",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using fleet = await startFleet([etcd.endpoint])
    const hosts = await twoHosts(fleet, etcd.endpoint)
    await using load = loadOf(hosts)
    await load.more(10)

    await etcd.pause()
    expectRefusal(await load.nextRefusal(), /^etcd at 127.0.0.1:\d+ has not answered within 5000 ms$/)
    for (const host of hosts) {
      expect(await health(host)).toMatchObject({
        status: 503,
        store: "unavailable",
        error: expect.stringMatching(/not answered/),
      })
      await until("its lease is lost", () => host.said.includes(leaseLost))
    }

    etcd.resume()
    await expectRecovery(load, { fleet, hosts })
  },
  testMsMax,
)

test.concurrent(
  "one host cut off from etcd: another takes its attempts over, and it works again when the network is back",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using network = await startTcpProxy(etcd.endpoint)
    await using fleet = await startFleet([etcd.endpoint])
    const apart = await fleet.host({ endpoints: [network.endpoint] })
    const other = await fleet.host({ endpoints: [etcd.endpoint] })
    const hosts = [apart, other]
    await using load = loadOf(hosts)
    await load.more(10)

    network.hold()
    const ofOther = loadOf([other])
    expectRefusal(await load.nextRefusal(), /^etcd at 127.0.0.1:\d+ has not answered within 5000 ms$/)
    expect(await health(apart)).toMatchObject({ status: 503, store: "unavailable" })
    expect(await health(other)).toMatchObject({ status: 200, store: "ok" })
    expect(apart.said).toContain(leaseLost)
    await until("the other has all the work", async () => {
      const { entries } = await fleet.store.list(prefixes.hosts)
      return entries.length === 1
    })
    await ofOther.more(5)
    await ofOther.stop()
    // All that was acknowledged until now ends without the host that is cut off.
    await fleet.haveEnded(ofOther.acknowledged)
    await fleet.haveEnded(load.acknowledged)

    network.mend()
    await until("it works again", async () => (await health(apart)).status === 200)
    await until(
      "both are hosts again",
      async () => (await fleet.store.list(prefixes.hosts)).entries.length === 2,
    )
    await load.more(10)
    await load.stop()
    await fleet.nothingIsLost([...load.acknowledged, ...ofOther.acknowledged], hosts)
    expectRefusals(load)
    expect(ofOther.refusals).toEqual([])
    expect(other.said).not.toContain(leaseLost)
    for (const host of hosts) expectFewWords(host)
  },
  testMsMax,
)

test.concurrent(
  "5 s of latency: hosts stop working rather than work without a lease, and catch up when it is over",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using network = await startTcpProxy(etcd.endpoint)
    await using fleet = await startFleet([etcd.endpoint])
    const hosts = await twoHosts(fleet, network.endpoint)
    await using load = loadOf(hosts)
    await load.more(10)

    network.delay(2_500)
    expectRefusal(await load.nextRefusal(), /^etcd at 127.0.0.1:\d+ has not answered within 5000 ms$/)
    for (const host of hosts) {
      expect(await health(host)).toMatchObject({
        status: 503,
        error: "The store has not answered for 1000 ms",
      })
      await until("its lease is lost", () => host.said.includes(leaseLost))
    }

    network.mend()
    await expectRecovery(load, { fleet, hosts })
  },
  testMsMax,
)

test(
  "etcd killed with kill -9: submits are refused until it is back, and nothing is lost",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using fleet = await startFleet([etcd.endpoint])
    const hosts = await twoHosts(fleet, etcd.endpoint)
    await using load = loadOf(hosts)
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
    await expectRecovery(load, { fleet, hosts })
  },
  testMsMax,
)

test(
  "the leader of three members killed: no host loses its lease, and the load goes on without a person",
  async () => {
    await using etcd = await startEtcdCluster({ electionMs: 500 })
    const endpoints = etcd.members.map(({ endpoint }) => endpoint)
    await using fleet = await startFleet(endpoints)
    const settings = { "lease-ttl": "6s" }
    const hosts = [await fleet.host({ endpoints, settings }), await fleet.host({ endpoints, settings })]
    await using load = loadOf(hosts)
    await load.more(10)

    const leader = await etcd.leader()
    await leader.kill()
    const next = await etcd.leader()
    expect(next).not.toBe(leader)
    await load.more(10)
    await leader.restart()
    await load.more(10)
    await load.stop()
    await fleet.nothingIsLost(load.acknowledged, hosts)
    expectRefusals(load)
    for (const host of hosts) {
      expect(host.said).not.toContain(leaseLost)
      expectFewWords(host)
    }
  },
  testMsMax,
)

test(
  "answers of etcd that do not come through, while requests do: what was written is found, and nothing is done twice",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using network = await startTcpProxy(etcd.endpoint)
    await using fleet = await startFleet([etcd.endpoint])
    const host = await fleet.host({ endpoints: [network.endpoint] })
    await using load = loadOf([host])
    await load.more(10)
    network.hold("back")
    await until("its lease is lost", () => host.said.includes(leaseLost))
    network.cut()
    expectRefusal(await load.nextRefusal(), /^etcd /)
    network.mend()
    await expectRecovery(load, { fleet, hosts: [host] })
  },
  testMsMax,
)

test(
  "300 ms of latency: everything takes longer, and no lease is lost",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using network = await startTcpProxy(etcd.endpoint)
    await using fleet = await startFleet([etcd.endpoint])
    const options = { endpoints: [network.endpoint], settings: { "lease-ttl": "10s" } }
    const hosts = [await fleet.host(options), await fleet.host(options)]
    await using load = loadOf(hosts)
    network.delay(150)
    await load.more(10)
    await load.stop()
    await fleet.haveEnded(load.acknowledged)
    network.mend()
    await fleet.nothingIsLost(load.acknowledged, hosts)
    expect(load.refusals).toEqual([])
    for (const host of hosts) expect(host.said.filter((said) => !said.includes("use 3.5"))).toEqual([])
  },
  testMsMax,
)

test(
  "history compacted under a watch that lags behind: the host lists anew and misses nothing",
  async () => {
    await using etcd = await startEtcd({ electionMs: 500 })
    await using network = await startTcpProxy(etcd.endpoint)
    await using fleet = await startFleet([etcd.endpoint], { history: false, pinnedTo: "role=worker" })
    const settings = { "lease-ttl": "30s", label: "role=worker" }
    const lagging = await fleet.host({ endpoints: [network.endpoint], settings })
    const other = await fleet.host({ endpoints: [etcd.endpoint] })
    const hosts = [lagging, other]
    await using load = loadOf([other])
    await load.more(10)
    await fleet.haveEnded(load.acknowledged)

    network.hold("back")
    await load.more(5)
    const { revision } = await fleet.store.list("")
    await etcd.compact(revision)
    // What was on its way is lost with the connection, so that its watches are behind what etcd still knows.
    network.cut()
    await load.more(2)
    network.mend()
    await load.more(10)
    await load.stop()
    await fleet.nothingIsLost(load.acknowledged, hosts)
    expect(load.refusals).toEqual([])
    for (const host of hosts) {
      expect(host.said).not.toContain(leaseLost)
      expectFewWords(host)
    }
  },
  testMsMax,
)

/** Two hosts that reach etcd the same way. */
async function twoHosts(fleet: LiveFleet, endpoint: string): Promise<readonly LiveHost[]> {
  const options = { endpoints: [endpoint] }
  return [await fleet.host(options), await fleet.host(options)]
}

function loadOf(hosts: readonly LiveHost[]): ConstantLoad {
  return new ConstantLoad(
    hosts.map(({ url }) => url),
    { everyMs: 150 },
  )
}

async function health(host: LiveHost) {
  const response = await fetch(`${host.url}/health`)
  return { ...((await response.json()) as { store: string; error?: string }), status: response.status }
}

function expectRefusal({ status, contentType, detail }: Refusal, why: RegExp): void {
  expect([status, contentType]).toEqual([503, "application/problem+json"])
  expect(detail).toMatch(why)
}

/** The load goes on, nothing of it is lost, and those who were told that something is wrong were told so in few words. */
async function expectRecovery(
  load: ConstantLoad,
  { fleet, hosts }: { readonly fleet: LiveFleet; readonly hosts: readonly LiveHost[] },
): Promise<void> {
  await load.more(10)
  await load.stop()
  await fleet.nothingIsLost(load.acknowledged, hosts)
  expectRefusals(load)
  for (const host of hosts) expectFewWords(host)
}

/** Every submit that was not acknowledged was refused in words, and in time. */
function expectRefusals(load: ConstantLoad): void {
  for (const refusal of load.refusals) {
    expectRefusal(refusal, /^etcd /)
    expect(refusal.ms).toBeLessThan(answerMsMax)
  }
}

/** An outage is a few lines in a host's log. Every try of every run that it holds up would be hundreds. */
function expectFewWords({ said }: LiveHost): void {
  expect(said.length <= 12 ? "few" : said).toBe("few")
}
