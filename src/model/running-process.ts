/** A process of an attempt. */
export interface RunningProcess {
  readonly pid: number
  /** As it is written in a shell, cut where it is long. */
  readonly command: string
}
