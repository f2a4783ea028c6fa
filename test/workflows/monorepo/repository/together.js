const assert = require("node:assert")
const { shop } = require("./packages/api")
const { page } = require("./packages/web")

assert.equal(page(shop()), "<h1>Shop</h1>")
