"""
Does what `--once` does, with Python's sqlite3 and the docker SDK: STORE SOCKET. It uses the SDK's two
list calls: its `containers.list()` would ask for each container once more.
"""

import json
import sqlite3
import sys

import docker


def managed(name, labels):
    return "decnet.topology.id" in (labels or {}) or name.startswith(("decnet_t_", "decnet-"))


store, socket = sys.argv[1:]
id, hash, text = sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
    "SELECT topology_id, applied_version_hash, hydrated_blob_json FROM applied_topology").fetchone()
api = docker.DockerClient(base_url=f"unix://{socket}", timeout=5).api
networks = {it["Name"] for it in api.networks() if managed(it["Name"], it["Labels"])}
states = {it["Names"][0].lstrip("/"): it["State"] for it in api.containers(all=True)
          if managed(it["Names"][0].lstrip("/"), it["Labels"])}
running = {name for name, state in states.items() if state == "running"}
document = json.loads(text)
prefix = f"decnet_t_{document['topology']['id'][:8]}_"
wanted_networks = {prefix + lan["name"].lower() for lan in document["lans"]}
wanted = {prefix + decky["name"] + suffix for decky in document["deckies"]
          for suffix in ["", *(f"-{service}" for service in decky["services"])]}
drift = len(wanted_networks ^ networks) + len(wanted - running) + len(set(states) - wanted)
print(f"DECNET {'WARNING' if drift else 'OK'} - {id} | networks={len(networks)} "
      f"containers={len(running)} drift={drift}")
