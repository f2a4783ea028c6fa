const assert = require("node:assert")
const { test } = require("node:test")
const { title } = require("./index.js")

test("begins with a capital letter", () => assert.equal(title("shop"), "Shop"))
