/**
 * A number from 0 to below 1 that depends on the text and on nothing else: chance for a decision that every host, and
 * every repetition, must make alike.
 */
export function chanceOf(text: string): number {
  return Number(BigInt(Bun.hash(text)) & 0xffff_ffffn) / 2 ** 32
}
