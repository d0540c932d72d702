import type { KeyName } from "../../cli/options.ts";

const digest = `sha256:${"0a".repeat(32)}`;

/** For each key what it takes, with the value that comes of it, and what it refuses. */
export const keyCases: Record<
  KeyName,
  { taken: [text: string, value: unknown][]; refused: string[] }
> = {
  "master-host": {
    taken: [
      ...same("master", "a.b-c.example", "10.0.0.1", "::1", "fd00::1", "MASTER.example.", "a_b.c"),
      ["[::1]", "::1"],
      ["[fd00::1]", "fd00::1"],
    ],
    refused: ["", " ", "a b", "a/b", "https://a", "a:8770", "[::1", "::1]", "[[::1]]"]
      .concat("[::1]:8770", "[a]", "[10.0.0.1]", "[10.0.0.1:8770]", "[:]", "[]", "-a", ".a", "a..b")
      .concat("a@b", "a\n", "a".repeat(254), "é.example", "10.0.0.1:8770", "master.example:8770"),
  },
  "swarmctl-port": {
    taken: [["1", 1], ["8770", 8770], ["65535", 65535], ["08770", 8770]],
    refused: ["", "0", "65536", "-1", "+1", "1.0", "1e3", "0x10", " 1", "1 ", "8770/tcp", "９"]
      .concat("1".repeat(10)),
  },
  "master-name": {
    taken: [...same("master.example", "10.0.0.1", "::1"), ["[::1]", "::1"]],
    refused: ["", "*.example", "a b", "CN=a"],
  },
  "master-fingerprint": {
    taken: [
      ["a0".repeat(32), "a0".repeat(32)],
      ["A0".repeat(32), "a0".repeat(32)],
      [Array(32).fill("Fe").join(":"), "fe".repeat(32)],
    ],
    refused: ["", "a0", "a0".repeat(31), "a0".repeat(33), "g0".repeat(32)]
      .concat(`sha256:${"a0".repeat(32)}`, `${"a0".repeat(32)}\n`, "a0 ".repeat(32)),
  },
  "host-uuid": {
    taken: same("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "host_1.a", "a".repeat(64)),
    refused: ["", "a b", "a/b", "a".repeat(65), "é", "a\n", "{a}"],
  },
  "agent-dir": { taken: paths(), refused: ["", "a\nb", "a\0b", "\t"] },
  "state-dir": { taken: paths(), refused: ["", "a\nb", "a\0b", "\t"] },
  "docker-host": {
    taken: [
      ["unix:///var/run/docker.sock", "/var/run/docker.sock"],
      ["unix:///a b/é", "/a b/é"],
    ],
    refused: ["", "/var/run/docker.sock", "unix://", "unix://docker.sock", "unix:/a", "UNIX:///a"]
      .concat("tcp://127.0.0.1:2375", "ssh://a", "npipe:////./pipe/docker_engine", "http://a")
      .concat("unix:///\0"),
  },
  "interval": {
    taken: [
      ["5s", 5_000],
      ["5", 5_000],
      ["30", 30_000],
      ["3600", 3_600_000],
      ["30s", 30_000],
      ["1m", 60_000],
      ["90s", 90_000],
      ["60m", 3_600_000],
      ["1h", 3_600_000],
      ["3600s", 3_600_000],
    ],
    refused: ["", "4", "3601", "4s", "0s", "3601s", "61m", "2h", "1d", "1.5m", "-5s", "5 s", "5S"]
      .concat("1m30s", "500ms", "s", "Infinitys", "99999999s"),
  },
  "log-level": {
    taken: same("error", "warn", "info", "debug"),
    refused: ["", "warning", "INFO", "trace", "3", "toString", "info "],
  },
  "network-prefix": { taken: prefixes(), refused: notPrefixes() },
  "container-prefix": { taken: prefixes(), refused: notPrefixes() },
  "base-image": {
    taken: same("debian", "debian:bookworm-slim", "host.example:5000/a/b:1", digest, `a@${digest}`),
    refused: ["", "Debian", "a b", "a:", ":a", "-a", "a//b", "decnet/{service}", "a,b", "a\n"],
  },
  "service-image": {
    taken: [
      ["decnet/{service}:latest", images("decnet/{service}:latest")],
      ["{service}", images("{service}")],
      ["a/{service}:{service}", images("a/{service}:{service}")],
      ["one-for-all:1", images("one-for-all:1")],
      ["a, ssh=b:1 ,x_y.z-0=host.example:5000/c", {
        service: "a",
        byService: new Map([["ssh", "b:1"], ["x_y.z-0", "host.example:5000/c"]]),
      }],
      [`a,ssh=b@${digest}`, { service: "a", byService: new Map([["ssh", `b@${digest}`]]) }],
      ["a,toString=b", { service: "a", byService: new Map([["toString", "b"]]) }],
    ],
    refused: ["", ",", "a,", ",ssh=a", "ssh=a", "a,b", "a,ssh=", "a,=b", "a,ssh=b,ssh=c"]
      .concat("a,s h=b", "a,ssh=B", "a,ssh=b/{service}", "a,ssh=b=c", "A/{service}", "a/{Service}")
      .concat("a{", "a b"),
  },
  "services": { taken: paths(), refused: ["", "a\nb", "a\0b", "\t"] },
  "publish": {
    taken: same("0.0.0.0", "192.0.2.20", "off"),
    refused: ["", "OFF", "none", "::", "192.0.2", "192.0.2.20:80", "host", "0.0.0.0/0"],
  },
  "artifacts-dir": {
    taken: [...same("/", "/a b/é"), ["/var/lib/a/", "/var/lib/a"]],
    refused: ["", "a", "./a", "/a:b", "/a\0", "off", `/${"a".repeat(4096)}`],
  },
  "listen": {
    taken: [
      ["0.0.0.0:8765", { host: "0.0.0.0", port: 8765 }],
      ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }],
      ["[::]:65535", { host: "::", port: 65535 }],
      ["[fd00::1]:8765", { host: "fd00::1", port: 8765 }],
      ["[::ffff:10.0.0.1]:8765", { host: "::ffff:10.0.0.1", port: 8765 }],
      ["off", "off"],
    ],
    refused: ["", "0.0.0.0", "8765", ":8765", "*:8765", "localhost:8765", "0.0.0.0:", "0.0.0.0:0"]
      .concat("OFF", "none", "off:8765")
      .concat(
        "0.0.0.0:65536",
        "0.0.0.0:123456",
        "0.0.0.0:-1",
        "0.0.0.0:a",
        "0.0.0.0:1 ",
        "::1:8765",
      )
      .concat(
        "[::]",
        "[]:8765",
        "[::1:8765",
        "[fd00::1%eth0]:8765",
        "256.0.0.1:8765",
        "10.0.1:8765",
      )
      .concat("010.0.0.1:8765", "1.2.3.4.5:8765", "https://0.0.0.0:8765", "0.0.0.0:8765\n"),
  },
  "allowed-cn": {
    taken: [
      ["decnet-master", ["decnet-master"]],
      ["a, b c ,é", ["a", "b c", "é"]],
      ["a".repeat(64), ["a".repeat(64)]],
    ],
    refused: ["", " ", ",", "a,", ",a", "a,,b", "a\0", "a\nb", "a".repeat(65)],
  },
  "supersede": {
    taken: [["true", true], ["false", false]],
    refused: ["", "True", "yes", "no", "1", "0", "on", "true ", "toString"],
  },
  "forward-logs": {
    taken: [["true", true], ["false", false]],
    refused: ["", "True", "yes", "1", "off", "false "],
  },
  "syslog-port": {
    taken: [["1", 1], ["6514", 6514], ["65535", 65535]],
    refused: ["", "0", "65536", "-1", "6514/tcp", "off", " 6514"],
  },
  "textfile": {
    taken: same("/var/lib/node_exporter/decnet.prom", "relative/a b.prom", "é.prom"),
    refused: [
      ...["", "/", "/a/", "a\nb", "a\0b", "\t", "/a/b.txt", "/a/prom", "/a/.prom", ".prom"],
      ...["a.prom/", "a.prom.txt", "a.PROM", "a\n.prom", `${"a".repeat(4092)}.prom`],
    ],
  },
};

function images(service: string) {
  return { service, byService: new Map<string, string>() };
}

function same(...texts: string[]): [string, string][] {
  return texts.map((text) => [text, text]);
}

function paths(): [string, string][] {
  return [...same("/", "/a", "relative/a b", "."), ["/a/b//", "/a/b"], ["//", "/"], [
    "/é/😀/",
    "/é/😀",
  ]];
}

function prefixes(): [string, string[]][] {
  return [["decnet-", ["decnet-"]], ["a, b_ ,c.d", ["a", "b_", "c.d"]], ["9", ["9"]]];
}

function notPrefixes(): string[] {
  return ["", ",", "a,", ",a", "a,,b", "-a", "_a", ".a", "a b", "a/b", "a*", "é"];
}
