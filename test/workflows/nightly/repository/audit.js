console.log("1 dependency is old")
process.exitCode = 1
