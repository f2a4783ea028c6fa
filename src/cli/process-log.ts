import pino from "pino"

/** The process's own log: JSON lines on stderr, written before the call returns, so that a crash loses none. */
export function processLog(level: pino.LevelWithSilent): pino.Logger {
  return pino({ level }, pino.destination({ fd: 2, sync: true }))
}
