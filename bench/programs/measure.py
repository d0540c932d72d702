"""
Runs commands in turn, so that a machine which slows down slows them all: {"runs": N, "commands": {NAME:
[PROGRAM, ARGUMENT, ...]}} on standard input. Prints {NAME: [{"ms": wall time, "cpuMs": processor time,
"mib": peak memory, "anonymousMiB": peak of its anonymous part, "code": exit code}]}. That part is read
again and again in three turns before the timed ones.
"""

import json
import os
import sys
import time

order = json.load(sys.stdin)
null = os.open(os.devnull, os.O_RDWR)
streams = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)]


def start(command):
    return os.posix_spawnp(command[0], command, os.environ, file_actions=streams)


def run(command):
    started = time.perf_counter()
    _, status, usage = os.wait4(start(command), 0)
    ms = (time.perf_counter() - started) * 1000
    cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
    code = os.waitstatus_to_exitcode(status)
    return {"ms": ms, "cpuMs": cpu_ms, "mib": usage.ru_maxrss / 1024, "code": code}


def anonymous_mib(command):
    pid, most = start(command), 0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
        # A process that has ended has no memory.
        most = max(most, int(fields.get("RssAnon", "0 kB").split()[0]) / 1024)
    return most


commands = order["commands"].items()
anonymous = [{name: anonymous_mib(command) for name, command in commands} for _ in range(3)]
turns = [{name: run(command) for name, command in commands} for _ in range(order["runs"])]
json.dump({name: [{**turn[name], "anonymousMiB": sorted(it[name] for it in anonymous)[1]} for turn in turns]
           for name, _ in commands}, sys.stdout)
