// Several loops that live and end together.

/**
 * Runs all tasks until `signal` is aborted. The first one that fails ends the others and is what this fails with;
 * it returns only when every task has ended.
 */
export async function runTasks(
  signal: AbortSignal,
  tasks: readonly ((signal: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const stop = new AbortController();
  const together = AbortSignal.any([signal, stop.signal]);
  let failure: { readonly error: unknown } | undefined;
  await Promise.all(
    tasks.map(async (task) => {
      try {
        await task(together);
      } catch (error) {
        // What a task throws because it was told to stop is not a failure of its own.
        if (together.aborted) return;
        failure ??= { error };
        stop.abort(error);
      }
    }),
  );
  if (failure !== undefined) throw failure.error;
}
