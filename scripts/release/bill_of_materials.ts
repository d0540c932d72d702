/** What an executable was made from. */
export interface Making {
  /** The name of its file. */
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  /** When the sources were last changed, in seconds since 1970. */
  readonly created: number;
  readonly runtime: { readonly deno: string; readonly v8: string };
}

const unknown = "NOASSERTION";
/** What `denort` is made of, as far as it has a version to look up. */
const partOf = (id: string, name: string, versionInfo: string, licenseDeclared: string) => ({
  SPDXID: `SPDXRef-${id}`,
  name,
  versionInfo,
  downloadLocation: unknown,
  filesAnalyzed: false,
  licenseConcluded: licenseDeclared,
  licenseDeclared,
  copyrightText: unknown,
});

/** The bill of materials of an executable, as SPDX 2.3; the same for the same executable. */
export function bomOf({ name, version, sha256, created, runtime }: Making): object {
  return {
    spdxVersion: "SPDX-2.3",
    dataLicense: "CC0-1.0",
    SPDXID: "SPDXRef-DOCUMENT",
    name,
    documentNamespace: `https://spdx.org/spdxdocs/${name}-${sha256}`,
    creationInfo: {
      created: new Date(created * 1000).toISOString().replace(/\.\d+/, ""),
      creators: ["Tool: decnet-agent-release"],
    },
    packages: [
      {
        ...partOf("decnet-agent", "decnet-agent", version, "MIT"),
        packageFileName: name,
        checksums: [{ algorithm: "SHA256", checksumValue: sha256 }],
        primaryPackagePurpose: "APPLICATION",
      },
      partOf("deno", "denort (Deno's runtime base, with SQLite and its TLS)", runtime.deno, "MIT"),
      partOf("v8", "V8", runtime.v8, "BSD-3-Clause"),
    ],
    relationships: [
      ["SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-decnet-agent"],
      ["SPDXRef-decnet-agent", "CONTAINS", "SPDXRef-deno"],
      ["SPDXRef-deno", "CONTAINS", "SPDXRef-v8"],
    ].map(([spdxElementId, relationshipType, relatedSpdxElement]) => ({
      spdxElementId,
      relationshipType,
      relatedSpdxElement,
    })),
  };
}
