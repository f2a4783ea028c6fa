/**
 * The same function, which answers from memory when it is asked again about the same object. For what is asked at every
 * turn about objects that never change, such as the steps of a pipeline; what is known goes with its object.
 */
export function onceFor<Of extends WeakKey, Told>(tell: (of: Of) => Told): (of: Of) => Told {
  const known = new WeakMap<Of, { readonly told: Told }>()
  return (of) => {
    const found = known.get(of) ?? { told: tell(of) }
    known.set(of, found)
    return found.told
  }
}
