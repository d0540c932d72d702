"""
Runs commands in turn, so that a machine which slows down slows them all, after one turn that does not
count: {"runs": N, "commands": {NAME: [PROGRAM, ARGUMENT, ...]}} on standard input. Prints {NAME: [{"ms":
wall time, "cpuMs": processor time, "mib": peak memory, "code": exit code}]}.
"""

import json
import os
import sys
import time

order = json.load(sys.stdin)
null = os.open(os.devnull, os.O_RDWR)
streams = [(os.POSIX_SPAWN_DUP2, null, stream) for stream in range(3)]


def run(command):
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=streams)
    _, status, usage = os.wait4(pid, 0)
    ms = (time.perf_counter() - started) * 1000
    cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
    code = os.waitstatus_to_exitcode(status)
    return {"ms": ms, "cpuMs": cpu_ms, "mib": usage.ru_maxrss / 1024, "code": code}


turns = [{name: run(command) for name, command in order["commands"].items()}
         for _ in range(order["runs"] + 1)]
json.dump({name: [turn[name] for turn in turns[1:]] for name in order["commands"]}, sys.stdout)
