import pino from "pino"
import { isJsonObject, type Json, type JsonObject } from "../model/json.ts"
import { printable, type Style, styleFor } from "./terminal.ts"

/**
 * The process's own log on stderr, written before the call returns, so that a crash loses none: JSON lines, or for
 * a person `plain` ones.
 */
export function processLog(level: pino.LevelWithSilent, { plain }: { readonly plain: boolean }): pino.Logger {
  const stderr = pino.destination({ fd: 2, sync: true })
  if (!plain) return pino({ level }, stderr)
  const style = styleFor(process.stderr, process.env)
  const write = (line: string) => void stderr.write(plainEntry(JSON.parse(line) as JsonObject, style))
  return pino({ level }, { write })
}

/** Parts of every entry that are said in their own way, or that a person at a terminal knows. */
const known: readonly string[] = ["level", "time", "pid", "hostname", "msg", "err"]

/** An entry of the log for a person: its time, its level, what it says, its fields, and the stack of a bug below. */
export function plainEntry(entry: JsonObject, style: Style): string {
  const { level, time, msg = "", err = null } = entry
  const at = new Date(Number(time)).toTimeString().slice(0, 8)
  const fields = Object.entries(entry)
    .filter(([name]) => !known.includes(name))
    .map(([name, value]) => ` ${style.dim(`${name}=`)}${textOf(value)}`)
  const stack = isJsonObject(err) ? textOf(err["stack"] ?? err["message"] ?? "").split("\n") : []
  const below = stack.map((line) => `\n  ${printable(line)}`)
  return `${[style.dim(at), levelWord(Number(level), style), textOf(msg)].join(" ")}${fields.join("")}${below.join("")}\n`
}

function levelWord(level: number, style: Style): string {
  const word = (pino.levels.labels[level] ?? "").padEnd(5)
  if (level >= 50) return style.red(word)
  return level >= 40 ? style.yellow(word) : style.dim(word)
}

function textOf(value: Json): string {
  return typeof value === "string" ? value.split("\n").map(printable).join("\n") : JSON.stringify(value)
}
