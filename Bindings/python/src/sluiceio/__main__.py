"""python -m sluiceio echo [ADDRESS]: an echo server that says where it listens. At Ctrl-C, or SIGTERM, it
accepts no more, sends what is queued, and waits until each peer has it."""

import signal
import sys

from . import ACCEPTED, CLOSED, DATA, SIGNAL, Loop


def echo(address: str) -> None:
    """Serves until a signal comes, and its streams have ended."""
    with Loop() as loop:
        listener = loop.listen(address)
        ends = [loop.signal(number) for number in (signal.SIGTERM, signal.SIGINT)]
        print("listening on", loop.local_address(listener), flush=True)
        streams = set()
        ending = False
        for event in loop:
            if event.kind is ACCEPTED:
                streams.add(event.id)
                if ending:
                    loop.close(event.id)
            elif event.kind is DATA:
                loop.write(event.id, event.data)
            elif event.kind is CLOSED:
                streams.discard(event.id)
            elif event.kind is SIGNAL:
                ending = True
                for handle in (listener, *ends, *streams):
                    loop.close(handle)
            if ending and not streams:
                return


def main(arguments: list[str]) -> int:
    """The command line."""
    if not 1 <= len(arguments) <= 2 or arguments[0] != "echo":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        echo(arguments[1] if len(arguments) == 2 else "127.0.0.1:9999")
    except OSError as problem:
        print(f"sluiceio: {problem.strerror or problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
