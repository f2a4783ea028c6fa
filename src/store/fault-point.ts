import type { Store } from "./store.ts"

/**
 * Kills this process (SIGKILL) right after its `number`th commit that applied: the commit is durable, its answer is
 * lost. It is how tests of crashes die at an exact place; `CONVEYOR_FAULT_KILL_AFTER_COMMIT` asks for it.
 */
export function killAfterCommit(store: Store, number: number): void {
  const commit = store.commit.bind(store)
  let applied = 0
  store.commit = async (guards, writes) => {
    const revision = await commit(guards, writes)
    if (revision !== undefined && ++applied === number) process.kill(process.pid, "SIGKILL")
    return revision
  }
}
