const assert = require("node:assert")
const { test } = require("node:test")
const { shop } = require("./index.js")

test("answers the shop's name", () => assert.deepEqual(shop(), { name: "Shop" }))
