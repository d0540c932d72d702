/** Who wakes up so much too late was not running, in milliseconds. */
const lateMs = 100;
/** How much longer it then waits, in milliseconds. */
const graceMs = 1_000;

/**
 * Calls `onDue` after `ms`; the answer is a function that calls it off. Where the process was stopped
 * until after that time it calls once later, by a second: what came meanwhile has not been read yet.
 */
export function startDeadline(ms: number, onDue: () => void): () => void {
  const dueAt = performance.now() + ms;
  let timer = setTimeout(() => {
    if (performance.now() - dueAt <= lateMs) onDue();
    else timer = setTimeout(onDue, graceMs);
  }, ms);
  return () => clearTimeout(timer);
}
