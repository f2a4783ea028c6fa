/** The URL of what listens on this address and port; an IPv6 address stands in brackets. */
export function httpUrl(address: string, port: number): string {
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}`
}
