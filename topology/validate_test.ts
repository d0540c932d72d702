import assert from "node:assert/strict";
import { decky, type DeckyValues, lan, problemsOf, topology } from "../tests/support/topology.ts";
import { isImageReference, readTopology } from "./document.ts";
import { parseJson } from "./json.ts";
import { defaultImages, defaultPlanOptions, type ImageNames } from "./plan.ts";
import { named } from "./problem.ts";
import { parseServices } from "./services.ts";
import {
  checkDeckies,
  checkDmz,
  checkId,
  checkLans,
  checkName,
  readLanSubnet,
  validateTopology,
} from "./validate.ts";

const nameRule = 'a name must be at most 63 letters (A-Z, a-z), digits, "_", "." and "-", ' +
  "and begin with a letter or digit";

/** Problems as code and place. */
function places(problems: readonly string[]): string[] {
  return problems.map((it) => it.replace(/^\[(\w+)\] .*? at ([^ :]+): .*$/s, "$1 $2"));
}

const goodNames = "a 0 A LAN-00 a.b_c-d a. a..b a- constructor".split(" ");
const badNames = [
  ..."-a .a _a __proto__ a/b a:b ../a é {a}".split(" "),
  ...["", "a b", " a", "a\n", "a\u0000"],
];

Deno.test("checkName() and checkId() accept what Docker takes, to 63 and 64", () => {
  const cases: [check: (text: string) => string[], most: number, problem: string][] = [
    [(name) => checkName(name, named(name, "here")), 63, "NAME_MALFORMED here"],
    [checkId, 64, "ID_MALFORMED topology.id"],
  ];
  for (const [check, most, problem] of cases) {
    for (const text of [...goodNames, "a".repeat(most)]) assert.deepEqual(check(text), [], text);
    for (const text of [...badNames, "a".repeat(most + 1), "a".repeat(8 << 20)]) {
      assert.deepEqual(places(check(text)), [problem]);
    }
  }
});

const hex = "0123456789abcdef".repeat(4);

// What Docker 20.10 said of each: no such image, or an invalid reference.
const references = [
  ..."ubuntu ubuntu:22.04 library/ubuntu 1 1.2 0/0 a.b a_b a__b a-b a---b".split(" "),
  ..."a:Tag_1.2-3 a:_t a/b/c/d/e/f/g:1 localhost/a localhost:5000/a localhost:5000".split(" "),
  ..."reg.example.com/a/b/c:1 reg.example.com:5000/a REG.example.com/a REG:5000/a".split(" "),
  ..."a:1/c reg_x.com/a xn--a/b 10.0.0.1/a 10.0.0.1:5000/a:1 sha256:latest".split(" "),
  ...[`a:${"t".repeat(128)}`, `a@sha256:${hex}`, `a:1@sha256:${hex}`],
  ...[`reg.example.com:5000/a/b:1@sha256:${hex}`, `sha256:${hex}`, hex],
];
const noReferences = [
  ..."Ubuntu Library/ubuntu REG/a LOCALHOST/a a___b a..b a_-b a- -a a. _a a/ /a a//b".split(" "),
  ..."a: a:.t a:-t a:b:c a@ a@b reg.example.com:/a reg-.com/a -reg.com/a reg.com./a".split(" "),
  ..."a..b/c a_b.c:80/d localhost:abc/a [::1]:5000/a a/__b ../a a/../b a?b a#b a%2fb".split(" "),
  ..."é decnet-{service}".split(" "),
  ...[`a:${"t".repeat(129)}`, `a@sha256:${hex.slice(1)}`, `a@sha256:${hex}0`],
  ...[`a@sha256:${hex.toUpperCase()}`, `a@sha256:${hex}:1`, `a@md5:${hex.slice(32)}`],
  ...[`@sha256:${hex}`, "a b", " a", "a\n", "a\t", "a\u0000"],
];

Deno.test("isImageReference() accepts what Docker does, up to 255 characters", () => {
  for (const text of [...references, `reg.example.com/${"a".repeat(239)}`]) {
    assert.equal(isImageReference(text), true, text);
  }
  // Docker 20.10 makes a container without an image of the empty one.
  for (const text of ["", ...noReferences, `reg.example.com/${"a".repeat(240)}`]) {
    assert.equal(isImageReference(text), false, JSON.stringify(text));
  }
});

Deno.test("isImageReference() needs no more than linear time", () => {
  // With exponential or cubic time, this would not end.
  for (const piece of ["a", "a-", "a.", "a__", "a/", "a:1/", "a.a:1/", "-", "0", "A."]) {
    for (const length of [255, 8 << 20]) {
      const text = piece.repeat(Math.ceil(length / piece.length)).slice(0, length - 1) + "!";
      for (let round = 0; round < 100; round++) assert.equal(isImageReference(text), false);
    }
  }
});

Deno.test("validateTopology() accepts the sample documents and an empty one", () => {
  for (const name of ["topology-one-lan.json", "topology-three-lans.json"]) {
    const text = Deno.readTextFileSync(new URL(`../tests/data/${name}`, import.meta.url));
    assert.deepEqual(validateTopology(readTopology(parseJson(text)), defaultPlanOptions), []);
  }
  assert.deepEqual(problemsOf({}), []);
});

Deno.test("validateTopology() finds every problem at once, each with its place", () => {
  const document = topology({
    id: "../x",
    lans: [lan("LAN-00"), lan("no lan", { subnet: "10.77.1.9/24", isDmz: false })],
    deckies: [
      decky("a", { services: ["ssh"], addresses: { "LAN-00": "10.0.0.2" }, images: { ssh: "S" } }),
      decky("b", { addresses: {} }),
    ],
  });
  assert.deepEqual(places(validateTopology(document, defaultPlanOptions)), [
    "ID_MALFORMED topology.id",
    "DMZ_ORPHAN lans[1]",
    "NAME_MALFORMED lans[1].name",
    "SUBNET_MALFORMED lans[1].subnet",
    "NAME_MALFORMED deckies[0].decky_config.service_config.ssh.image",
    "DECKY_ORPHAN deckies[1].decky_config.ips_by_lan",
  ]);
});

/** As many LANs, deckies and services as are taken, every LAN on a path to the DMZ. */
function largest() {
  const count = 1000;
  const subnetBase = (index: number) => `10.${index >> 8}.${index & 255}`;
  const lans = Array.from(
    { length: count },
    (_, index) => lan(`lan-${index}`, { subnet: `${subnetBase(index)}.0/24`, isDmz: index === 0 }),
  );
  const deckies = lans.map((_, index) => {
    const near = [index, (index + 1) % count];
    return decky(`decky-${index}`, {
      services: Array.from({ length: 9 }, (_, at) => `service-${at}`),
      addresses: Object.fromEntries(
        near.map((to, at) => [`lan-${to}`, `${subnetBase(to)}.${at + 2}`]),
      ),
    });
  });
  return { lans, deckies };
}

Deno.test("validateTopology() accepts 1000 LANs, 10000 deckies and services", () => {
  const { lans, deckies } = largest();
  const start = performance.now();
  assert.deepEqual(problemsOf({ lans, deckies }), []);
  // About 50 ms; with a time that grows quadratically it would be some seconds.
  assert.ok(performance.now() - start < 3000);
  // Of more, nothing else is reported.
  assert.deepEqual(problemsOf({ id: "", lans: [...lans, lan("x")], deckies }), [
    '[TOO_LARGE] topology "" at lans: it has 1001 LANs; at most 1000 are taken',
  ]);
  assert.deepEqual(problemsOf({ lans, deckies: [...deckies, decky("a")] }), [
    "[TOO_LARGE] topology 7c9e6679 at deckies: it has 10001 deckies and services; " +
    "at most 10000 are taken",
  ]);
});

Deno.test("validateTopology() rejects more deckies on a LAN than bridge ports", () => {
  const lans = ["dmz", "Office", "both"].map((name, index) =>
    lan(name, { subnet: `10.${index}.0.0/16`, isDmz: index === 0 })
  );
  const on = (index: number, ...names: number[]) =>
    Object.fromEntries(
      names.map((at) => [lans[at]!.name, `10.${at}.${1 + (index >> 7)}.${index & 127}`]),
    );
  const deckies = (count: number) =>
    Array.from(
      { length: count },
      (_, index) => decky(`d${index}`, { addresses: on(index, 1, ...(index === 0 ? [0, 2] : [])) }),
    );
  assert.deepEqual(problemsOf({ lans, deckies: deckies(1023) }), []);
  assert.deepEqual(problemsOf({ lans, deckies: deckies(1024) }), [
    "[TOO_LARGE] Office at lans[1]: 1024 deckies are on it; a bridge takes at most 1023",
  ]);
});

Deno.test("validateTopology() rejects more than 100000 addresses", () => {
  const addressed = (count: number) => ({
    ...decky("a"),
    addressByLan: new Map(Array.from({ length: count }, (_, index) => [`lan-${index}`, "x"])),
  });
  const codes = (count: number) =>
    new Set(
      problemsOf({ lans: [lan("a")], deckies: [addressed(count)] })
        .map((it) => it.slice(1, it.indexOf("]"))),
    );
  assert.deepEqual(codes(100_000), new Set(["IP_UNKNOWN_LAN", "IP_MALFORMED"]));
  assert.deepEqual(codes(100_001), new Set(["TOO_LARGE"]));
});

Deno.test("validateTopology() keeps time and messages small with huge names", () => {
  const huge = "😀\n".repeat(1 << 20);
  const problems = validateTopology(
    topology({
      id: huge,
      lans: [lan(huge, { subnet: huge }), lan(huge, { subnet: huge })],
      deckies: [decky(huge, {
        services: Array.from({ length: 9000 }, (_, index) => `service-${index}`),
        addresses: { [huge]: huge, [huge.toLowerCase() + "x"]: huge },
        images: { "service-0": huge },
      })],
    }),
    defaultPlanOptions,
  );
  assert.ok(problems.length > 8);
  for (const message of problems) {
    assert.ok(message.length < 1000, message.slice(0, 2000));
    // deno-lint-ignore no-control-regex
    assert.ok(message.isWellFormed() && !/[\x00-\x1f]/.test(message), message);
  }
});

/** Checks LANs, of which those in upper case are DMZs, and deckies, each given by its LANs. */
function dmzProblems(lans: string[], deckies: string[][] = []): string[] {
  return checkDmz(topology({
    lans: lans.map((name) => lan(name, { isDmz: name !== name.toLowerCase() })),
    deckies: deckies.map((names, index) =>
      decky(`decky-${index}`, {
        addresses: Object.fromEntries(names.map((name) => [name, "10.0.0.2"])),
      })
    ),
  }));
}

/** The LANs that are said to have no path to the DMZ. */
function orphans(lans: string[], deckies: string[][]): string[] {
  return dmzProblems(lans, deckies).flatMap((text) =>
    /^\[DMZ_ORPHAN\] (\w+) at lans\[\d+\]: /.exec(text)?.[1] ?? []
  );
}

Deno.test("checkDmz() finds a missing DMZ and then no orphans, and several", () => {
  assert.deepEqual(dmzProblems([]), []);
  const message = "[DMZ_MISSING] topology 7c9e6679 at lans: no LAN has is_dmz";
  assert.deepEqual(dmzProblems(["a", "b"]), [message]);
  assert.deepEqual(dmzProblems([], [[]]), [message]);
  assert.deepEqual(dmzProblems(["A"]), []);
  assert.deepEqual(dmzProblems(["A", "b", "C"], [["A", "b"]]), [
    "[DMZ_MULTIPLE] C at lans[2]: only one LAN may have is_dmz, and A at lans[0] has it",
  ]);
});

Deno.test("checkDmz() finds LANs without a path to a DMZ", () => {
  const cases: [lans: string[], deckies: string[][], orphans: string[]][] = [
    [["A"], [], []],
    [["A", "b"], [["A", "b"]], []],
    [["A", "b"], [["A"], ["b"]], ["b"]],
    [["b", "c", "A"], [["b", "c"], ["c", "A"]], []],
    [["b", "c", "A", "d", "e"], [["b", "A"], ["d", "e"]], ["c", "d", "e"]],
    // A LAN that is not in the document makes no path.
    [["A", "b"], [["A", "x"], ["x", "b"]], ["b"]],
    // Every DMZ is a start.
    [["A", "b", "C", "d", "e"], [["A", "b"], ["C", "d"]], ["e"]],
  ];
  for (const [lans, deckies, expected] of cases) {
    assert.deepEqual(orphans(lans, deckies), expected, JSON.stringify([lans, deckies]));
  }
  assert.deepEqual(dmzProblems(["A", "b"]), [
    "[DMZ_ORPHAN] b at lans[1]: no deckies on several LANs make a path from it to the DMZ",
  ]);
});

Deno.test("readLanSubnet() accepts what Docker can make a network of", () => {
  const texts = [
    ..."10.0.0.0/8 1.0.0.0/8 10.77.1.0/24 10.77.1.248/29 10.77.1.252/30".split(" "),
    ..."126.255.255.0/24 128.0.0.0/24 169.253.0.0/16 169.255.0.0/16 223.255.255.0/24".split(" "),
  ];
  for (const text of texts) assert.notEqual(typeof readLanSubnet(text), "string", text);
});

Deno.test("readLanSubnet() says why it refuses any other", () => {
  const small = "smaller than a /30, too small for a gateway and a container";
  const large = "larger than a /8, too much of what the host may reach";
  const linkLocal = "overlaps 169.254.0.0/16, link-local, where a cloud has its metadata";
  const cases: [text: string, fault: string][] = [
    ["", "is not an IPv4 subnet such as 10.0.0.0/24"],
    ["fd00::/64", "is not an IPv4 subnet such as 10.0.0.0/24"],
    ["10.0.0.5/24", "has host bits set; the subnet is 10.0.0.0/24"],
    ["10.0.0.0/7", `is ${large}`],
    ["0.0.0.0/0", `is ${large}`],
    ["10.0.0.0/31", `is ${small}`],
    ["0.0.0.0/8", "overlaps 0.0.0.0/8, which no host can have"],
    ["127.5.0.0/24", "overlaps 127.0.0.0/8, the host's own loopback"],
    ["169.254.7.0/24", linkLocal],
    ["169.0.0.0/8", linkLocal],
    ["255.255.255.0/24", "overlaps 224.0.0.0/3, multicast and reserved"],
  ];
  for (const [text, fault] of cases) {
    assert.equal(readLanSubnet(text), `${text || '""'} ${fault}`);
  }
});

Deno.test("checkLans() finds problems of names and subnets", () => {
  const cases: [lans: [name: string, subnet: string][], problems: string[]][] = [
    [
      [["a", "10.0.1.0/24"], ["b", "10.0.0.0/24"], ["c", "10.0.2.0/25"], ["d", "10.0.2.128/25"]],
      [],
    ],
    [
      [["a", "10.0.0.0/24"], ["b c", "10.0.1.9/24"]],
      [
        '[NAME_MALFORMED] "b c" at lans[1].name: ' + nameRule,
        '[SUBNET_MALFORMED] "b c" at lans[1].subnet: ' +
        "10.0.1.9/24 has host bits set; the subnet is 10.0.1.0/24",
      ],
    ],
    [
      [
        ["Lan", "10.0.0.0/24"],
        ["b", "10.0.1.0/24"],
        ["lAN", "10.0.2.0/24"],
        ["Lan", "10.0.3.0/24"],
      ],
      ["lAN at lans[2]", "Lan at lans[3]"].map((subject) =>
        `[LAN_NAME_DUP] ${subject}.name: ` +
        "Lan at lans[0].name has this name already; case does not count"
      ),
    ],
    [
      [["a", "10.0.5.0/24"], ["b", "10.1.0.0/16"], ["c", "10.0.0.0/16"]],
      [overlap("c at lans[2]", "10.0.0.0/16", "10.0.5.0/24 of a at lans[0]")],
    ],
    [
      [["a", "10.0.5.0/24"], ["b", "10.0.5.0/24"]],
      [overlap("b at lans[1]", "10.0.5.0/24", "10.0.5.0/24 of a at lans[0]")],
    ],
    // Also an overlap behind a smaller subnet.
    [
      [["a", "10.0.0.0/8"], ["b", "10.0.0.0/24"], ["c", "10.200.0.0/24"], ["d", "11.0.0.0/24"]],
      [
        overlap("b at lans[1]", "10.0.0.0/24", "10.0.0.0/8 of a at lans[0]"),
        overlap("c at lans[2]", "10.200.0.0/24", "10.0.0.0/8 of a at lans[0]"),
      ],
    ],
  ];
  for (const [lans, problems] of cases) {
    assert.deepEqual(
      checkLans(lans.map(([name, subnet]) => lan(name, { subnet }))),
      problems,
    );
  }
  const many = Array.from({ length: 1000 }, (_, index) => lan(`lan-${index}`));
  assert.equal(checkLans(many).length, 999);
});

function overlap(subject: string, subnet: string, other: string): string {
  return `[SUBNET_OVERLAP] ${subject}.subnet: ${subnet} overlaps ${other}.subnet`;
}

const lans = [lan("LAN-00"), lan("LAN-01", { subnet: "10.0.1.0/24", isDmz: false })];

/** Checks deckies, each with a good address in LAN-00 unless it has other ones. */
function deckyProblems(...deckies: [name: string, values?: DeckyValues][]): string[] {
  return deckyProblemsWith(defaultImages, ...deckies);
}

function deckyProblemsWith(
  images: ImageNames,
  ...deckies: [name: string, values?: DeckyValues][]
): string[] {
  return checkDeckies(
    topology({
      lans,
      deckies: deckies.map(([name, values], index) =>
        decky(name, { addresses: { "LAN-00": `10.0.0.${index + 2}` }, ...values })
      ),
    }),
    images,
  );
}

Deno.test("checkDeckies() checks names and images", () => {
  assert.deepEqual(
    deckyProblems(
      ["a", { services: ["ssh", "http"], images: { ssh: "reg.example.com/sshd:1" } }],
      ["b", { services: ["ssh"], addresses: { "LAN-00": "10.0.0.254", "LAN-01": "10.0.1.2" } }],
      // Names of containers differ by case.
      ["A"],
    ),
    [],
  );
  assert.deepEqual(deckyProblems(["a/b", { services: ["ssh", "x y"] }]), [
    `[NAME_MALFORMED] a/b at deckies[0].name: ${nameRule}`,
    `[NAME_MALFORMED] service "x y" of a/b at deckies[0].services[1]: ${nameRule}`,
  ]);
  // The image of a service that the decky does not have is not used.
  assert.deepEqual(deckyProblems(["a", { services: ["ssh"], images: { ssh: "A", http: "B" } }]), [
    "[NAME_MALFORMED] service ssh of a at deckies[0].decky_config.service_config.ssh.image: " +
    "A is not a Docker image reference",
  ]);
});

Deno.test("checkDeckies() checks the images that service-image makes", () => {
  const noReference = (service: string, image: string) =>
    `[NAME_MALFORMED] service ${service} of a at deckies[0].services: ${image}, by service-image, ` +
    "is not a Docker image reference";
  const services = ["HTTP", "a.", "x_y", "my--db", "b___c"];
  assert.deepEqual(deckyProblems(["a", { services, images: { "a.": "nginx" } }]), [
    noReference("HTTP", "decnet/HTTP:latest"),
    noReference("b___c", "decnet/b___c:latest"),
  ]);
  const images = {
    base: "debian",
    service: `reg.example.com/${"{service}/".repeat(5)}1`,
    byService: new Map([["HTTP", "nginx:alpine"]]),
  };
  const long = "a".repeat(63);
  assert.deepEqual(deckyProblemsWith(images, ["a", { services: ["HTTP", "ssh"] }]), []);
  const [fault = ""] = deckyProblemsWith(images, ["a", { services: [long] }]);
  assert.match(fault, /reg\.example\.com\/a+…, by service-image, is not a Docker image reference$/);
});

Deno.test("checkDeckies() finds containers of one name", () => {
  const dup = (subject: string, name: string, other: string) =>
    `[DECKY_NAME_DUP] ${subject}: its container ${name} has the same name as that of ${other}`;
  const a = "a at deckies[0].name";
  const [ssh, sshTwice] = [0, 1].map((at) => `service ssh of a at deckies[0].services[${at}]`);
  const cases: [deckies: [name: string, services: string[]][], problems: string[]][] = [
    [[["a", []], ["a", []]], [dup("a at deckies[1].name", "a", a)]],
    [[["a", ["ssh"]], ["a-ssh", []]], [dup("a-ssh at deckies[1].name", "a-ssh", ssh!)]],
    [
      [["a-ssh", []], ["a", ["ssh"]]],
      [dup("service ssh of a at deckies[1].services[0]", "a-ssh", "a-ssh at deckies[0].name")],
    ],
    [[["a", ["b-c"]], ["a-b", ["c"]]], [
      dup(
        "service c of a-b at deckies[1].services[0]",
        "a-b-c",
        "service b-c of a at deckies[0].services[0]",
      ),
    ]],
    [[["a", ["ssh", "ssh"]]], [dup(sshTwice!, "a-ssh", ssh!)]],
    // The services of a decky whose name is taken add nothing.
    [[["a", ["ssh"]], ["a", ["ssh", "ssh"]]], [dup("a at deckies[1].name", "a", a)]],
    [[["a", ["ssh"]], ["b", ["ssh"]], ["a-http", []]], []],
  ];
  for (const [deckies, expected] of cases) {
    const problems = deckyProblems(
      ...deckies.map(([name, services]): [string, DeckyValues] => [name, { services }]),
    );
    assert.deepEqual(problems, expected, JSON.stringify(deckies));
  }
  const [name, service] = ["a".repeat(63), "s".repeat(63)];
  const longest = deckyProblems([name, { services: [service, service] }]);
  assert.deepEqual(longest.map((text) => text.slice(0, 16)), ["[DECKY_NAME_DUP]"]);
});

Deno.test("checkDeckies() checks the LANs and addresses of a decky", () => {
  const at = "d0 at deckies[0].decky_config.ips_by_lan";
  const cases: [addresses: { [lan: string]: string }, problems: string[]][] = [
    [{}, [`[DECKY_ORPHAN] ${at}: the decky is on no LAN`]],
    [{ "LAN-02": "10.0.0.2", "Lan-00": "x" }, [
      `[IP_UNKNOWN_LAN] ${at}.LAN-02: LAN-02 is not a LAN of the document`,
      `[IP_UNKNOWN_LAN] ${at}.Lan-00: Lan-00 is not a LAN of the document; case counts, LAN-00 is one`,
      `[IP_MALFORMED] ${at}.Lan-00: x is not an IPv4 address such as 10.0.0.2`,
    ]],
    [{ "LAN-00": "10.0.0.02" }, [
      `[IP_MALFORMED] ${at}.LAN-00: 10.0.0.02 is not an IPv4 address such as 10.0.0.2`,
    ]],
    ...([
      ["10.0.0.255", "OUT_OF_SUBNET", "is not in 10.0.1.0/24"],
      ["10.0.1.0", "OUT_OF_SUBNET", "is the network address of 10.0.1.0/24"],
      ["10.0.1.1", "COLLISION", "is the gateway address of 10.0.1.0/24"],
      ["10.0.1.255", "OUT_OF_SUBNET", "is the broadcast address of 10.0.1.0/24"],
      ["10.0.2.0", "OUT_OF_SUBNET", "is not in 10.0.1.0/24"],
    ] as const).map(([address, code, fault]): [{ [lan: string]: string }, string[]] => [
      { "LAN-01": address },
      [`[IP_${code}] ${at}.LAN-01: ${address} ${fault}`],
    ]),
    [{ "LAN-01": "10.0.1.2" }, []],
    [{ "LAN-01": "10.0.1.254" }, []],
  ];
  for (const [addresses, problems] of cases) {
    assert.deepEqual(deckyProblems(["d0", { addresses }]), problems);
  }
});

/** The codes of the problems of deckies at these addresses in the first of these LANs. */
function codesAt(addresses: string[], ...subnets: string[]): string[] {
  const lans = subnets.map((subnet) => lan("LAN", { subnet }));
  const deckies = addresses.map((LAN, index) => decky(`d${index}`, { addresses: { LAN } }));
  return checkDeckies(topology({ lans, deckies }), defaultImages).map((it) =>
    it.slice(1, it.indexOf("]"))
  );
}

Deno.test("checkDeckies() finds two deckies with one address in a LAN", () => {
  const addresses = { "LAN-00": "10.0.0.2" };
  assert.deepEqual(deckyProblems(["d0", { addresses }], ["d1", { addresses }]), [
    "[IP_COLLISION] d1 at deckies[1].decky_config.ips_by_lan.LAN-00: " +
    "10.0.0.2 is also the address of d0 at deckies[0].decky_config.ips_by_lan.LAN-00",
  ]);
  // The same number in another LAN, the second LAN of one name, a malformed subnet.
  const inOther = { addresses: { "LAN-01": "10.0.1.2" } };
  assert.deepEqual(deckyProblems(["d0", { addresses }], ["d1", inOther]), []);
  assert.deepEqual(codesAt(["10.0.0.2"], "10.0.0.0/24", "10.0.1.0/24"), []);
  assert.deepEqual(codesAt(["9.9.9.9", "9.9.9.9"], "10.0.0.9/24"), ["IP_COLLISION"]);
});

Deno.test("validateTopology() names values that cannot be sent, not what they are", () => {
  const ssh = { password: ["hunter2"], user: "hunter2\0", hostname: "h", unused: {} };
  const problems = problemsOf({
    lans: [lan("a")],
    deckies: [decky("d", {
      services: ["ssh", "http", "ftp"],
      addresses: { a: "10.0.0.2" },
      configs: {
        ssh,
        http: { custom_body: "hunter2".repeat(10_000), extra_headers: [] },
        ftp: { password: {} },
      },
    })],
  });
  const place = "at deckies[0].decky_config.service_config";
  assert.deepEqual(problems, [
    `[CONFIG_MALFORMED] service ssh of d ${place}.ssh.password: expected string, number, true or ` +
    "false, got array",
    `[CONFIG_MALFORMED] service ssh of d ${place}.ssh.user: a NUL character cannot be in an ` +
    "environment variable",
    `[CONFIG_MALFORMED] service http of d ${place}.http.custom_body: it has over 64 KiB`,
  ]);
  const own = parseServices('{"ftp": {"environment": {"A": {"from": "a;b\\u001b"}}}}');
  const [problem] = problemsOf({
    lans: [lan("a")],
    deckies: [decky("d", {
      services: ["ftp"],
      addresses: { a: "10.0.0.2" },
      configs: { ftp: { "a;b\u001b": [] } },
    })],
  }, { services: own });
  assert.match(problem!, /service_config\.ftp\."a;b\ufffd": expected string/);
});

Deno.test("validateTopology() rejects a port that two gateways publish", () => {
  const lans = [lan("dmz"), lan("in", { subnet: "10.1.0.0/24", isDmz: false })];
  const on = (dmz: number | null, inner: number | null) => ({
    ...(dmz !== null && { dmz: `10.0.0.${dmz}` }),
    ...(inner !== null && { in: `10.1.0.${inner}` }),
  });
  const forwardsL3 = true;
  const deckies = [
    decky("one", { services: ["dns", "http", "conpot"], addresses: on(2, 2), forwardsL3 }),
    // On the DMZ, but no gateway.
    decky("two", { services: ["dns", "http"], addresses: on(3, 3) }),
    // Forwards, but is not on the DMZ.
    decky("three", { services: ["dns", "http"], addresses: on(null, 4), forwardsL3 }),
    decky("four", { services: ["tftp", "snmp", "https"], addresses: on(4, null), forwardsL3 }),
    decky("five", { services: ["dns"], addresses: on(5, null), forwardsL3 }),
  ];
  const publishes = (port: string) =>
    `one at deckies[0].services publishes ${port} of the host already`;
  assert.deepEqual(problemsOf({ lans, deckies }), [
    `[PORT_COLLISION] four at deckies[3].services: ${publishes("161/udp")}`,
    `[PORT_COLLISION] four at deckies[3].services: ${publishes("443/tcp")}`,
    `[PORT_COLLISION] five at deckies[4].services: ${publishes("53/tcp")}`,
    `[PORT_COLLISION] five at deckies[4].services: ${publishes("53/udp")}`,
  ]);
  assert.deepEqual(problemsOf({ lans, deckies }, { publish: null }), []);
  // The same number of another protocol is another port.
  const sip = parseServices('{"dns": {"ports": ["53/tcp"]}, "own": {"ports": ["53/udp"]}}');
  const apart = ["dns", "own"].map((service, index) =>
    decky(service, { services: [service], addresses: on(index + 2, index + 2), forwardsL3 })
  );
  assert.deepEqual(problemsOf({ lans, deckies: apart }, { services: sip }), []);
});
