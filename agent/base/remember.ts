// What was made of a thing that is never altered in place, for as long as all else that it was made from is the same.

/** `make`, which is asked once for each item as long as `context` is the same object. */
export function remember<Context, Item extends object, Made extends object>(
  make: (context: Context, item: Item) => Made,
): (context: Context, item: Item) => Made {
  let known = new WeakMap<Item, Made>();
  let knownFor: Context | undefined;
  return (context, item) => {
    if (context !== knownFor) known = new WeakMap();
    knownFor = context;
    const before = known.get(item);
    if (before !== undefined) return before;
    const made = make(context, item);
    known.set(item, made);
    return made;
  };
}
