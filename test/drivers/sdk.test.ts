import { expect, test } from "bun:test"
import * as v from "valibot"
import { defineDriver, NotRetryable } from "../../src/drivers/sdk.ts"

test("defineDriver returns what it is given, typed by its schemas", () => {
  const driver = {
    input: v.object({ times: v.optional(v.number(), 1) }),
    output: v.object({ said: v.string(), at: v.optional(v.number()) }),
  }
  const defined = defineDriver({
    ...driver,
    reconcile({ input }) {
      const times: number = input.times
      return times > 0 ? { success: true, data: { said: "a" } } : { success: false, data: "anything" }
    },
  })
  expect(defined).toMatchObject(driver)

  defineDriver({
    ...driver,
    // @ts-expect-error: the data of a success is what the output takes
    reconcile: () => ({ success: true, data: { said: 5 } }),
  })
  defineDriver({
    ...driver,
    reconcile({ input }) {
      // @ts-expect-error: the input has what its schema gives, and nothing else
      input.text
    },
  })
  defineDriver({
    // @ts-expect-error: data is JSON
    reconcile: () => ({ success: true, data: { size: 1n } }),
  })
})

test("a NotRetryable is an error like any other, but for one word", () => {
  const error = new NotRetryable("no such image", { cause: 404 })
  expect(error).toBeInstanceOf(Error)
  expect(`${error}`).toBe("NotRetryable: no such image")
  expect([error.cause, error.retryable]).toEqual([404, false])
})
