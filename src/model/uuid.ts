const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Is it a UUID as runs are identified by: lower case, with hyphens? Such a text is safe in keys, paths and URLs. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text)
}
