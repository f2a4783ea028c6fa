import { formatDuration } from "../model/duration.ts"

const moment = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g
const dayMs = 86_400_000

/**
 * A text with its moments as a clock on the wall here shows them, and how far away they are: in parentheses, unless the
 * moment ends some itself.
 */
export function withMoments(text: string, nowMs: number): string {
  return text.replace(moment, (found, offset: number) => {
    const ms = Date.parse(found)
    const away = distance(Math.round((ms - nowMs) / 1_000) * 1_000)
    const time = clock(new Date(ms), nowMs)
    return text[offset + found.length] === ")" ? `${time}, ${away}` : `${time} (${away})`
  })
}

function distance(ms: number): string {
  if (ms === 0) return "now"
  const text = formatDuration(Math.abs(ms)).replace(".0s", "s")
  return ms > 0 ? `in ${text}` : `${text} ago`
}

/** The time, with the day where it is another one. */
function clock(at: Date, nowMs: number): string {
  const pad = (part: number) => String(part).padStart(2, "0")
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":")
  const isNear = Math.abs(at.getTime() - nowMs) < dayMs && at.getDate() === new Date(nowMs).getDate()
  return isNear ? time : `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${time}`
}
