import { join } from "node:path"
import { start } from "./executable.ts"

/*
 * Disks of a test's own: a mount namespace in which a folder is a small disk, or can only be read. Nobody else sees it,
 * and it is gone with its scope. The test itself reaches it through /proc/<pid>/root. Needs Linux, and root or user
 * namespaces.
 */

/** In front of a command that is to have mounts of its own. */
const own = process.getuid?.() === 0 ? ["unshare", "--mount"] : ["unshare", "--map-root-user", "--mount"]

/** Does this machine let us mount anything? Many containers do not. Then tests of it are skipped, and the run says so. */
export const mayMount =
  Bun.which("unshare") !== null &&
  Bun.spawnSync([...own, "sh", "-c", "mount -t tmpfs none /mnt"], { stdout: "ignore", stderr: "ignore" })
    .exitCode === 0

export interface OwnMounts extends AsyncDisposable {
  /** A command in front of another one, which then runs among these mounts. */
  enter(folder: string): string[]
  /** Where others than those who have entered see a path. */
  seen(path: string): string
  /** Runs a command among these mounts. Throws when it fails. */
  run(...command: string[]): Promise<void>
}

/** `folder`, which must be there, is an empty disk of so many MiB. */
export function smallDisk(folder: string, sizeMb: number): Promise<OwnMounts> {
  return mounted(folder, `mount -t tmpfs -o size=${sizeMb}m none "$0"`)
}

/** `folder` is itself, and may be made read-only by `mount -o remount,bind,ro`. */
export function boundFolder(folder: string): Promise<OwnMounts> {
  return mounted(folder, 'mount --bind "$0" "$0"')
}

async function mounted(folder: string, mount: string): Promise<OwnMounts> {
  const command = [...own, "sh", "-ec", `${mount}; echo mounted; exec sleep infinity`, folder]
  const holder = start(command, { cwd: folder })
  try {
    await holder.printed(/mounted/)
  } catch (error) {
    await holder[Symbol.asyncDispose]()
    throw error
  }
  const enter = (cwd: string) => ["nsenter", "--target", String(holder.pid), "--mount", `--wd=${cwd}`, "--"]
  return {
    enter,
    seen: (path) => join(`/proc/${holder.pid}/root`, path),
    async run(...command) {
      const child = Bun.spawn([...enter("/"), ...command], { stderr: "pipe" })
      if ((await child.exited) !== 0) throw new Error(`${command.join(" ")}: ${await child.stderr.text()}`)
    },
    [Symbol.asyncDispose]: () => holder[Symbol.asyncDispose](),
  }
}
