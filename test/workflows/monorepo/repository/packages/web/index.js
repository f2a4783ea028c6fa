const { title } = require("../shared")

exports.page = (shop) => `<h1>${title(shop.name)}</h1>`
