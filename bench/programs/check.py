"""
What `--once` does, written with Python's sqlite3 and the docker SDK: STORE SOCKET. The SDK's two list
calls alone are used: its `containers.list()` would ask for each container once more.
"""

import json
import sqlite3
import sys

import docker

LABEL = "decnet.topology.id"


def ours(name, labels):
    return LABEL in labels or name.startswith(("decnet_t_", "decnet-"))


store, socket = sys.argv[1:]
row = sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
    "SELECT topology_id, applied_version_hash, hydrated_blob_json FROM applied_topology"
).fetchone()
client = docker.DockerClient(base_url=f"unix://{socket}", timeout=5)
networks = {it["Name"] for it in client.api.networks() if ours(it["Name"], it["Labels"] or {})}
containers = {}
for it in client.api.containers(all=True):
    name = it["Names"][0].lstrip("/")
    if ours(name, it["Labels"] or {}):
        containers[name] = it["State"]
running = {name for name, state in containers.items() if state == "running"}

drift = 0
if row:
    document = json.loads(row[2])
    prefix = f"decnet_t_{document['topology']['id'][:8]}_"
    wanted_networks = {prefix + lan["name"].lower() for lan in document["lans"]}
    wanted = set()
    for decky in document["deckies"]:
        wanted.add(prefix + decky["name"])
        wanted.update(f"{prefix}{decky['name']}-{service}" for service in decky["services"])
    drift = len(wanted_networks ^ networks) + len(wanted - running) + len(set(containers) - wanted)
print(f"DECNET {'WARNING' if drift else 'OK'} - {row and row[0]} | networks={len(networks)} "
      f"containers={len(running)} drift={drift}")
