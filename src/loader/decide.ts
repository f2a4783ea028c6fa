import type { HostFiles } from "../model/host-file.ts"
import type { DeclaredName } from "./ownership.ts"

/*
 * Several hosts may have a pipelines folder each, and one store has one pipeline of a name. What becomes of a
 * difference is decided here, so that every write of a file's content is due to an edit that a person made, and each
 * edit is written once. Hosts with different folders never write in turns.
 *
 *   declared here, and the store has      this folder was last seen with      then
 *   ------------------------------------  ----------------------------------  ------------------------------------
 *   nothing, or what the API made         anything                            write
 *   the same                              anything                            nothing; a rename here is written
 *   something else                        other content: it was edited        write
 *                                         this content: it was not            drift: the store keeps what it has
 *                                         nothing, and a live host has what   drift
 *                                         the store has
 *                                         nothing, and no live host has it    write
 *
 *   no longer declared here               with it, and no live host has it    delete
 *                                         with it, and a live host has it     nothing: the last one to drop it deletes
 *                                         nothing                             nothing: it is not this folder's
 *
 * What follows:
 *
 * - A host that joins with an empty or an older folder changes nothing that a live host has.
 * - A rollout of a new folder, host after host: the first host's edit stands, the others drift until it reaches them.
 * - Two hosts edited to different contents at the same moment: each edit is written, the later commit stands, and the
 *   host of the earlier one drifts. The store orders commits, so this is the same for all who look.
 * - A name in differently named files on two hosts is one pipeline. The same content is no drift, and the store names
 *   the file of the host that wrote last.
 * - A host that dies takes its files out of sight, not out of the store. What was deleted meanwhile and is still in its
 *   folder is declared again when it is back.
 * - A host that has just started cannot tell the living from those whose leases have not ended yet. So for its first two
 *   lease times nothing is settled by what others have: a file that was never seen before stays new, and is written when
 *   its holder turns out to be dead; what is deleted here and said to be elsewhere is deleted when it is not.
 * - A version of Conveyor that reads a file in another way takes the file for edited: the store follows the first host
 *   that is upgraded, and the others drift until they are.
 * - A host that dies between a write and its memory of it takes the file for edited once more at its next start.
 * - A host without its memory, such as one with a new data folder, deletes nothing, and writes over only what no live
 *   host has.
 * - Where no other host can use the store, there is no memory and nobody else: the folder is the truth.
 */

/** What was last seen of a name in this folder. */
export interface Seen {
  readonly file: string
  readonly hash: string
  /** It was never in the store, and whether the host that has what the store has is alive is not settled yet. */
  readonly isNew?: boolean
}

/** What there is of one name beside this folder as it is now. */
export interface NameView {
  /** What the store has: `file` is absent for what came through the API. */
  readonly stored: { readonly hash: string; readonly file?: string } | undefined
  readonly seen: Seen | undefined
  /** May another live host's folder have what the store has? */
  readonly heldElsewhere: boolean
}

/** What becomes of a name that this folder declares. Pure. */
export function decideDeclared(
  here: Seen,
  { stored, seen, heldElsewhere }: NameView,
): "write" | "same" | "drift" {
  if (stored?.file === undefined) return "write"
  const isKnown = seen !== undefined && seen.isNew !== true
  if (stored.hash === here.hash) {
    const isRenamed = isKnown ? seen.file !== here.file : !heldElsewhere
    return stored.file !== here.file && isRenamed ? "write" : "same"
  }
  const isEdited = seen !== undefined && seen.hash !== here.hash
  return isEdited || !(isKnown || heldElsewhere) ? "write" : "drift"
}

/** What becomes of a name in the store that came from a file and is not in this folder. Pure. */
export function decideGone(
  name: DeclaredName,
  {
    seen,
    others,
    alone,
  }: { readonly seen: Seen | undefined; readonly others: HostFiles; readonly alone: boolean },
): "delete" | "left to others" | "not ours" {
  if (alone) return "delete"
  if (seen === undefined) return "not ours"
  return others.having(name.slice(name.indexOf(" ") + 1)).length > 0 ? "left to others" : "delete"
}
