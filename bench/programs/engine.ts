/** The stand-in engine in a process of its own: SOCKET. It runs the topology of three LANs. */
import { TopologyStore } from "../../store/mod.ts";
import { containerOf, FakeEngine, networkOf } from "../../tests/engine/mod.ts";
import { defaultImages, parseJson, planTopology, readTopology } from "../../topology/mod.ts";

const [socket] = Deno.args as [string];
const file = new URL("../../tests/data/topology-three-lans.json", import.meta.url);
const document = await Deno.readTextFile(file);
const topology = readTopology(parseJson(document));
const plan = await planTopology(topology, defaultImages);

const store = TopologyStore.open(`${socket}.db`);
store.put(topology.id, "bench", document);
store.close();

const engine = await FakeEngine.start(socket);
engine.networks = plan.networks.map(networkOf);
engine.containers = plan.containers.map(containerOf);
