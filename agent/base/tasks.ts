// Runs several loops that start and end together.

/**
 * Runs all tasks until `signal` is aborted. The first failure ends the other tasks and is thrown. Returns only when
 * every task has ended.
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
        // A task that was told to stop may throw: that is no failure.
        if (together.aborted) return;
        failure ??= { error };
        stop.abort(error);
      }
    }),
  );
  if (failure !== undefined) throw failure.error;
}
