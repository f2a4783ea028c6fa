const assert = require("node:assert")
const { test } = require("node:test")
const { page } = require("./index.js")

test("shows the shop's name", () => assert.equal(page({ name: "toys" }), "<h1>Toys</h1>"))
