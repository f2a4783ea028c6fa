exports.answer = (response) => response.end("well")
