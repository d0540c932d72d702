/** The longest path that the kernel takes for a socket, in bytes. */
const maximumPathBytes = 107;

/**
 * The path of a `unix://` address, or null for every other one, as the agent speaks to the engine of
 * its own host only, and for a path that is too long for a socket.
 */
export function socketPath(address: string): string | null {
  const path = /^unix:\/\/(\/[^\0]+)$/.exec(address)?.[1];
  if (path === undefined || new TextEncoder().encode(path).length > maximumPathBytes) return null;
  return path;
}

/** The first of `paths` that exists. Throws `Error`, naming them all, when none does. */
export function findSocket(paths: readonly string[]): string {
  if (paths.length === 1) return paths[0]!;
  const found = paths.find((path) => {
    try {
      Deno.statSync(path);
      return true;
    } catch (error) {
      // A path that may not be looked at is there: connecting to it will say what is wrong.
      return error instanceof Deno.errors.PermissionDenied;
    }
  });
  if (found !== undefined) return found;
  throw new Error(
    `Cannot find Docker: none of ${paths.join(", ")} exists; start the engine, or set docker-host`,
  );
}
