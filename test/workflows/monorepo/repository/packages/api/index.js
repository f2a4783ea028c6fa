const { title } = require("../shared")

exports.shop = () => ({ name: title("shop") })
