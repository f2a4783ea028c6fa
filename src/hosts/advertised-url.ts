import { hostname, networkInterfaces } from "node:os"

/**
 * Where other hosts reach an API that listens at `url`. One that listens on every address names the first of the machine
 * that others can see, else the machine's name; any other names itself.
 */
export function advertisedUrl(url: string): string {
  const { protocol, hostname: listens, port } = new URL(url)
  if (listens !== "0.0.0.0" && listens !== "[::]") return url
  return `${protocol}//${outwardAddress() ?? hostname()}:${port}`
}

function outwardAddress(): string | undefined {
  const addresses = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address
}
