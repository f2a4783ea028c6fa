/** Makes a new key to sign with, writes it to the file, and answers the public one, as PEM. */
export async function newSigningKey(file: string): Promise<string> {
  await openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", file)
  return await openssl("ec", "-in", file, "-pubout")
}

async function openssl(...args: string[]): Promise<string> {
  const child = Bun.spawn(["openssl", ...args], { stderr: "pipe" })
  const [stdout, stderr, exit] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited])
  if (exit !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`)
  return stdout
}
