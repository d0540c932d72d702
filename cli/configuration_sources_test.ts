import assert from "node:assert/strict";
import { configureOn, section } from "../tests/machine.ts";
import type { Configuration } from "./configuration.ts";
import { type KeyName, keyNames, keys, variableOf } from "./keys.ts";

/** For each key four values, the last of which is no value, and where it ends up. */
const samples: Record<KeyName, [string[], (configuration: Configuration) => unknown]> = {
  "master-host": [["a", "b", "c", "a b"], ({ agent }) => agent.master?.host],
  "swarmctl-port": [["1", "2", "3", "0"], ({ agent }) => String(agent.master?.port)],
  "master-name": [["a", "b", "c", "*"], ({ agent }) => agent.master?.name],
  "master-fingerprint": [
    [..."abc"].map((digit) => digit.repeat(64)).concat("a"),
    ({ agent }) => agent.master?.fingerprint,
  ],
  "host-uuid": [["a", "b", "c", "a b"], ({ agent }) => agent.hostUuid],
  "agent-dir": [["/a", "/b", "/c", "\t"], ({ agent }) => agent.agentDirectory],
  "state-dir": [
    ["/a", "/b", "/c", "\t"],
    ({ agent }) => agent.storePath.replace("/topology.db", ""),
  ],
  "docker-host": [
    ["unix:///a", "unix:///b", "unix:///c", "/a"],
    ({ agent }) => `unix://${agent.sockets.join()}`,
  ],
  "interval": [["5s", "6s", "7s", "4s"], ({ intervalMs }) => `${intervalMs / 1000}s`],
  "network-prefix": [["a", "b", "c", "-"], ({ agent }) => agent.networkPrefixes.join()],
  "container-prefix": [["a", "b", "c", "-"], ({ agent }) => agent.containerPrefixes.join()],
  "base-image": [["a", "b", "c", "A"], ({ agent }) => agent.images.base],
  "service-image": [["a", "b/{service}", "c", "{service"], ({ agent }) => agent.images.service],
  "listen": [
    ["10.0.0.1:1", "[::1]:2", "0.0.0.0:3", "10.0.0.1"],
    ({ listen }) => listen?.host.replace(/.*:.*/, "[$&]").concat(`:${listen.port}`),
  ],
  "allowed-cn": [["a", "b", "c", ","], ({ listen }) => listen?.allowedNames.join()],
  "textfile": [["/a.prom", "b.prom", "/c.prom", "/"], ({ textfile }) => textfile],
  "supersede": [["true", "false", "true", "yes"], ({ supersede }) => String(supersede)],
};

for (const name of keyNames) {
  const [[flag, variable, ini, wrong], read] = samples[name] as [
    string[],
    typeof samples[KeyName][1],
  ];
  // What else must be there for the key to have an effect.
  const needed = { "master-host": "m", "host-uuid": "h", "listen": "0.0.0.0:1" };
  const neededIni = Object.entries(needed).filter(([key]) => key !== name)
    .map(([key, value]) => `${key} = ${value}`);
  const withSources = (...[flag, variable, ini]: (string | undefined)[]) =>
    configureOn({
      flags: flag === undefined ? {} : { [name]: flag },
      variables: variable === undefined ? {} : { [variableOf(name)]: variable },
      ini: section(...neededIni, ...(ini === undefined ? [] : [`${name} = ${ini}`])),
    });

  Deno.test(`configure() takes ${name} from the flag, else the variable, else the ini file`, () => {
    assert.equal(read(withSources(flag, variable, ini)), flag);
    assert.equal(read(withSources(undefined, variable, ini)), variable);
    assert.equal(read(withSources(undefined, "", ini)), ini);
    assert.equal(read(withSources(undefined, undefined, ini)), ini);
    // What is not used is not looked at either.
    assert.equal(read(withSources(flag, wrong, wrong)), flag);
  });

  Deno.test(`configure() refuses a wrong ${name} with its value, its place and what is allowed`, () => {
    const line = 2 + neededIni.length;
    const cases: [sources: Parameters<typeof withSources>, origin: string][] = [
      [[wrong, variable, ini], `--${name}`],
      [[undefined, wrong, ini], `$${variableOf(name)}`],
      // White space around a value is no part of it in an ini file.
      ...(wrong === "\t" ? [] : [
        [[undefined, undefined, wrong], `/etc/decnet/decnet.ini line ${line}`] as [
          Parameters<typeof withSources>,
          string,
        ],
      ]),
    ];
    for (const [sources, origin] of cases) {
      assert.throws(() => withSources(...sources), {
        name: "UsageError",
        message: `${name}: '${wrong}' (from ${origin}) must be ${keys[name].allowed}`,
      });
    }
  });
}
