import { renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"

/* A wall clock of one process alone, which a test sets while it runs. The monotonic clock goes on as it does. */

/** Where packages put it: /usr/lib/x86_64-linux-gnu/faketime, /usr/lib/faketime. */
const places = ["usr/lib/*/faketime", "usr/lib/faketime", "usr/local/lib/faketime"]

/** The library that a process is started with to see another time; undefined where it is not installed. */
export function findFaketime(): string | undefined {
  const found = places.flatMap((place) => [
    ...new Bun.Glob(`${place}/libfaketimeMT.so.1`).scanSync({ cwd: "/", absolute: true }),
  ])
  return found[0]
}

export interface SettableClock {
  /** What a process is started with. */
  readonly env: Readonly<Record<string, string>>
  /** From now on its clock is this far from the true time. */
  set(offset: { readonly seconds: number }): void
}

/** A clock that is right until it is set. `folder` is for its file. */
export function settableClock(folder: string): SettableClock {
  const library = findFaketime()
  if (library === undefined) throw new Error("libfaketime is not installed: apt-get install faketime")
  const file = join(folder, "clock")
  const clock: SettableClock = {
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    },
    set({ seconds }) {
      writeFileSync(`${file}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`)
      renameSync(`${file}.new`, file)
    },
  }
  clock.set({ seconds: 0 })
  return clock
}
