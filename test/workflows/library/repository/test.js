const assert = require("node:assert")
const { test } = require("node:test")
const { countWords } = require("./words.js")

test("counts words", () => assert.equal(countWords(" one  two "), 2))
