/**
 * Runs in the network of a container: `answer PORT…` writes each port, such as `53/udp`, to whom asks it;
 * `ask HOST PORT` prints the answer, or nothing when there is none within 3 s.
 *
 * @module
 */

const [task, ...args] = Deno.args;
const timeoutMs = 3_000;
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function answerTcp(port: string): Promise<void> {
  for await (const connection of Deno.listen({ port: parseInt(port) })) {
    await connection.write(encode(port));
    connection.close();
  }
}

async function answerUdp(port: string): Promise<void> {
  const options = { hostname: "0.0.0.0", port: parseInt(port), transport: "udp" } as const;
  const socket = Deno.listenDatagram(options);
  for await (const [, from] of socket) await socket.send(encode(port), from);
}

async function ask(hostname: string, port: string): Promise<string> {
  const to = { hostname, port: parseInt(port) };
  if (port.endsWith("/tcp")) {
    const connection = await Deno.connect(to);
    const buffer = new Uint8Array(64);
    return decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
  }
  const socket = Deno.listenDatagram({ hostname: "0.0.0.0", port: 0, transport: "udp" });
  await socket.send(encode("?"), { ...to, transport: "udp" });
  const [bytes] = await socket.receive();
  return decode(bytes);
}

if (task === "answer") {
  for (const port of args) port.endsWith("/tcp") ? answerTcp(port) : answerUdp(port);
  await Deno.stdout.write(encode("ready\n"));
} else {
  setTimeout(() => Deno.exit(), timeoutMs);
  await Deno.stdout.write(encode(await ask(args[0]!, args[1]!).catch(() => "")));
  Deno.exit();
}
