/** How commands end what they started. */

/**
 * One after the other, unless the command was cancelled: ONNX Runtime finishes what it is at before it lets go, nobody
 * waits for that who has cancelled, and the process ends anyway.
 */
export async function disposeUnlessCancelled(
  signal: AbortSignal,
  ...things: readonly { dispose(): Promise<void> }[]
): Promise<void> {
  if (signal.aborted) return;
  for (const thing of things) await thing.dispose();
}
