/** How much memory this process may take. */
import { totalmem } from 'node:os';

/** Bytes: the machine's memory, or what a container leaves of it. */
export function machineMemory(): number {
  // 0 where nothing limits the process, or an enormous number, depending on the system.
  const constrained = process.constrainedMemory();
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
}
