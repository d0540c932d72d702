/** What an operator can do about what SQLite, or the system, says of a file and its surroundings. */
const advice: readonly (readonly [problem: RegExp, advice: string])[] = [
  [/database or disk is full|No space left/i, "free some space there"],
  [/Read-only file system/i, "remount it, so that the agent can write there"],
  [/readonly database/i, "make the file and its folder writable for the agent's user"],
  [
    /unable to open database file|Permission denied|Operation not permitted/i,
    "see that the agent's user owns the file and its folder (chown -R)",
  ],
  [/Too many open files/i, "let the agent open more (ulimit -n, LimitNOFILE=)"],
  [/Not a directory/i, "see that state-dir names a folder"],
  [/disk I\/O error|Input\/output error/i, "see the kernel's log for what is wrong with the disk"],
];

/** What was thrown, in words, and what can be done about it, where that is known. */
export function explain(error: unknown): string {
  const whole = error instanceof Error ? error.message : String(error);
  // The runtime adds a number, its own call and a path, which is named anyway.
  const message = whole.replace(/ \(os error \d+\)(?:: \w+ '.*')?$/s, "");
  const known = advice.find(([problem]) => problem.test(message));
  return known ? `${message}; ${known[1]}` : message;
}
