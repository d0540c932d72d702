/** The master and how it proves itself. */
export interface MasterAddress {
  readonly host: string;
  readonly port: number;
  /** The name its certificate must bear. */
  readonly name: string;
  /** SHA-256 of its certificate, lower-case hex; null accepts every one that the authority signed. */
  readonly fingerprint: string | null;
}

/** The master's address as it stands in a URL. */
export function hostAndPort({ host, port }: Pick<MasterAddress, "host" | "port">): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
