/** Is what was typed for a pipeline the path of a file, and not its name? */
export function isPipelineFile(pipeline: string): boolean {
  return /[/\\]|\.(ya?ml|json)$/.test(pipeline)
}
