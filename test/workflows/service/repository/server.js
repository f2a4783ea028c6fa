const { createServer } = require("node:http")
const { greeting } = require("./greeting.js")
const { commit } = require("./version.json")

const server = createServer((request, response) => {
  if (request.url === "/health") require("./health.js").answer(response)
  else response.end(`${greeting("you")} (${commit})`)
})
server.listen(0, "127.0.0.1", () => console.log(`listening on ${server.address().port}`))
