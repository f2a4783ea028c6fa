/** Makes an environment for the run to play in. It is deleted when the run is over, however that comes about. */
import { defineDriver } from "conveyor"

export default defineDriver<{ readonly lab: string }>({
  async reconcile(ctx) {
    const url = `${ctx.input.lab}/environments/${ctx.run.id}`
    // Written down before there is anything to delete: 404 is as good as 204.
    await ctx.defer("http", { url, method: "DELETE", expect: [204, 404] })
    const { status } = await fetch(url, { method: "PUT", signal: ctx.signal })
    if (status !== 201) throw new Error(`PUT ${url} answered ${status}`)
    return { success: true, message: `made ${url}`, data: { url } }
  },
})
