import type { StartedAnswer } from "../model/idempotency.ts"
import type { RunView } from "../model/run-view.ts"
import { FollowedRun } from "./followed-run.ts"
import { type FirstUse, once, replayedHeader } from "./idempotency.ts"
import { waitMs } from "./request.ts"
import type { ApiContext, Call } from "./route.ts"

/** A request that asks for something which starts a run. */
export interface StartRequest<Answer extends StartedAnswer> {
  readonly call: Call
  /** What an `Idempotency-Key` is for: see {@link once}. */
  readonly scope: string
  readonly body: object
  /** Commits it, with a run of this id where one starts; see {@link once} for what it answers. */
  readonly start: (runId: string, first: FirstUse<Answer>) => Promise<Answer | undefined>
}

/** Answers 201, at once or with `?wait` when the run has ended; a repeat waits for the run that was started first. */
export async function answerStart<Answer extends StartedAnswer>(
  context: ApiContext,
  { call, scope, body, start }: StartRequest<Answer>,
): Promise<Response> {
  const wait = waitMs(call.query)
  const runId = Bun.randomUUIDv7()
  // Followed before it is there, the run needs not be read.
  using followed = wait > 0 ? new FollowedRun(context, runId) : undefined
  const { answer, replayed } = await once<Answer>(context, { request: call.request, scope, body }, (first) =>
    start(runId, first),
  )
  if (!replayed) return Response.json(await withRun(answer, { call, followed, wait }), { status: 201 })
  using earlier = wait > 0 && answer.runid !== "" ? new FollowedRun(context, answer.runid) : undefined
  await earlier?.load()
  const headers = { [replayedHeader]: "true" }
  // The run may be collected by now.
  const found = earlier?.run === undefined ? undefined : earlier
  return Response.json(await withRun(answer, { call, followed: found, wait }), { status: 201, headers })
}

/** Waits for the run that was started, where one was and someone follows it, and adds it to the answer. */
export async function withRun<Answer extends { readonly runid: string }>(
  answer: Answer,
  { call, followed, wait }: { call: Call; followed: FollowedRun | undefined; wait: number },
): Promise<Answer & { readonly run?: RunView }> {
  if (followed === undefined || answer.runid === "") return answer
  call.keepOpen()
  await followed.waitForEnd(wait, call.request.signal)
  if (followed.run === undefined) await followed.load()
  return { ...answer, run: await followed.view() }
}
