"""python -m sluiceio echo [ADDRESS]"""

import argparse
import signal
import sys

from . import ACCEPTED, CLOSED, DATA, SIGNAL, TIMER, Loop

GRACE_S = 1.0


def echo(address: str) -> None:
    """Serves until a signal comes. Then it ends when what is queued has been sent, or another signal
    comes."""
    with Loop() as loop:
        listener = loop.listen(address)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.signal(number)
            # The loop still gets it. After the loop's end it is ignored.
            signal.signal(number, signal.SIG_IGN)
        print("listening on", loop.local_address(listener), flush=True)
        streams = set()
        ending = False
        for event in loop:
            if event.kind is ACCEPTED:
                streams.add(event.id)
            elif event.kind is DATA:
                loop.write(event.id, event.data)
            elif event.kind is CLOSED:
                streams.discard(event.id)
            elif event.kind in (SIGNAL, TIMER):
                if ending:
                    return
                ending = True
                loop.close(listener)
                loop.timer(GRACE_S)
            if ending:
                streams = {stream for stream in streams if has_to_send(loop, stream)}
                if not streams:
                    loop.pull(0)  # the CLOSED of those whose peers had left, for a trace
                    return


def has_to_send(loop: Loop, stream: int) -> bool:
    """Closes a stream. Says whether something is still queued, so that its CLOSED is worth a wait."""
    queued = loop.flush(stream) and loop.pending(stream) > 0
    loop.close(stream)
    return queued


ECHO = """An echo server that says where it listens. At Ctrl-C, or SIGTERM, it accepts no more, closes what
has nothing to send, and sends the rest for a second at most. A second Ctrl-C ends it at once."""


def command_line() -> argparse.ArgumentParser:
    """The arguments of `python -m sluiceio`."""
    line = argparse.ArgumentParser(prog="python -m sluiceio", description="Programs of the package sluiceio.")
    programs = line.add_subparsers(required=True, metavar="PROGRAM")
    program = programs.add_parser("echo", help="an echo server", description=ECHO)
    program.add_argument("address", nargs="?", metavar="ADDRESS", default="127.0.0.1:9999",
                         help="where to listen, as %(default)s, [::1]:9999, *:9999 or unix:/run/echo.sock; "
                              "%(default)s is the default")  # fmt: skip
    return line


def main(arguments: list[str]) -> int:
    """Runs the program, and returns its exit code."""
    address = command_line().parse_args(arguments).address
    try:
        echo(address)
    except OSError as problem:
        print(f"sluiceio: {problem.strerror or problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the loop has it: it ends the program quietly
    sys.exit(main(sys.argv[1:]))
