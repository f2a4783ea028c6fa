import type { Json } from "../model/json.ts"

/**
 * What is known of large data once it was asked for. `away`: the host that has it cannot be asked now. `lost`: nobody has
 * it any more, as the message says.
 */
export type DataState =
  | { readonly type: "here"; readonly value: Json }
  | { readonly type: "away" }
  | { readonly type: "lost"; readonly message: string }

/** The data itself, when it is at hand. */
export function dataIn(state: DataState | undefined): Json | undefined {
  return state?.type === "here" ? state.value : undefined
}
