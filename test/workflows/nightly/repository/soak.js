const { spawn } = require("node:child_process")
const { appendFileSync } = require("node:fs")
const { join } = require("node:path")

const note = (line) => appendFileSync(join(process.argv[2], "cases.txt"), `${line}\n`)
/* As tests start browsers and servers. */
const browser = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" })
process.on("exit", () => browser.kill())
process.on("SIGTERM", () => {
  note("stopped")
  process.exit(143)
})

async function main() {
  for (const number of [1, 2, 3]) {
    const headers = { "x-processes": `${process.pid} ${browser.pid}` }
    const answer = await fetch(`${process.env.ENVIRONMENT}/cases/${number}`, { headers })
    note(`case ${number}: ${await answer.text()}`)
    if (!answer.ok) process.exit(1)
  }
  process.exit(0)
}
main()
