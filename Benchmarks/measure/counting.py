"""What can be counted exactly: instructions by callgrind, system calls by strace, bytes, lines."""

import os
import pathlib
import re
import resource
import socket
import subprocess

from .processes import Load, PATIENCE_S, ROOT, Server

CALLGRIND = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")


def collected(report):
    """The instructions that callgrind reports."""
    found = re.search(r"Collected : (\d+)", report)
    if not found:
        raise RuntimeError(f"callgrind counted nothing: {report.strip()[-500:]}")
    return int(found.group(1))


def program_instructions(command, within=()):
    """The instructions that a program executes, or those of the functions in `within` and what they call."""
    toggles = [f"--toggle-collect={name}" for name in within]
    words = [*CALLGRIND, *toggles, *(str(word) for word in command)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.strip()[-500:]}")
    return collected(done.stderr)


def server_instructions(command, kind, few, many, connections=64, repeats=3, size=64):
    """User-space instructions of a server for each operation, from runs of two lengths.

    Starting, connecting and ending cost the same in both runs, and cancel out. A wait costs the same for
    one event as for 64. So if something else keeps the load from its core, an operation costs more.
    Therefore the least of some runs is taken.
    """

    def run(operations):
        server = Server(command, under=CALLGRIND)
        with server, Load(server, kind, connections, size) as load:
            load.run(operations)
        return collected(server.report)

    less, more = (min(run(operations) for _ in range(repeats)) for operations in (few, many))
    return (more - less) / (many - few)


def server_calls(command, kind, few, many, connections=64):
    """System calls of a server for each operation, by name, and "total", from two runs."""

    def run(operations):
        server = Server(command, under=("strace", "-f", "-qq", "-c", "-U", "name,calls"))
        with server, Load(server, kind, connections) as load:
            load.run(operations)
        return {
            name: int(calls) for name, calls in re.findall(r"^(\w+) +(\d+)$", server.report, re.M)
        }

    less, more = run(few), run(many)
    return {name: (count - less.get(name, 0)) / (many - few) for name, count in more.items()}


def idle_bytes(command, connections):
    """Resident bytes of a server for each connection that has echoed once and is idle."""
    server = Server(command)
    with server:
        with Load(server, "echo", 64):
            pass
        before = server.resident_bytes()
        with Load(server, "echo", connections):
            return (server.resident_bytes() - before) / connections


def silent_bytes(command, connections):
    """Resident bytes of a server for each connection that has sent nothing."""

    def call(server, count):
        host, _, port = server.address.rpartition(":")
        callers = [socket.create_connection((host, int(port)), PATIENCE_S) for _ in range(count)]
        # Connections are accepted one after the other. Once the last is served, all are there.
        callers[-1].sendall(b"x")
        callers[-1].recv(1)
        return callers

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with Server(command) as server:
        callers = call(server, 64)
        before = server.resident_bytes()
        callers += call(server, connections)
        after = server.resident_bytes()
        for caller in callers:
            caller.close()
        return (after - before) / connections


def stripped_bytes(program):
    """The size of a program without its symbols."""
    copy = pathlib.Path(f"{program}-stripped")
    subprocess.run(["strip", "-o", copy, program], check=True)
    return os.path.getsize(copy)


def code_lines(directory):
    """Lines of C that are neither empty nor comment, as the preprocessor leaves them."""
    files = [*(ROOT / directory).rglob("*.c"), *(ROOT / directory).rglob("*.h")]
    total = 0
    for file in files:
        words = ["gcc", "-fpreprocessed", "-dD", "-E", "-P", file]
        text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        total += sum(1 for line in text.splitlines() if line.strip())
    return total
