/** How long it stays quiet after the last hint before a scan starts: a save is often several events. */
const quietMs = 25
/** The longest a hint waits for quiet, so that one file written all the time does not keep back the others. */
const waitMsMax = 60

/** Turns hints into scans, one at a time. A hint during a scan leads to another one after it. */
export interface ScanSchedule extends AsyncDisposable {
  readonly hint: () => void
}

/** `scan` must not reject. Disposing waits for the scan under way; no other starts. */
export function createScanSchedule(scan: () => Promise<void>, now: () => number): ScanSchedule {
  let timer: ReturnType<typeof setTimeout> | undefined
  let firstHintAt = 0
  let running: Promise<void> | undefined
  let hintedMeanwhile = false
  let stopped = false

  function hint(): void {
    if (stopped) return
    if (running !== undefined) {
      hintedMeanwhile = true
      return
    }
    if (timer === undefined) firstHintAt = now()
    clearTimeout(timer)
    timer = setTimeout(start, Math.max(0, Math.min(quietMs, firstHintAt + waitMsMax - now())))
  }

  function start(): void {
    timer = undefined
    running = scan().finally(() => {
      running = undefined
      if (hintedMeanwhile) {
        hintedMeanwhile = false
        hint()
      }
    })
  }

  return {
    hint,
    async [Symbol.asyncDispose]() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}
