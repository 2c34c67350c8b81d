"""python -m sluiceio echo [ADDRESS]: an echo server that says where it listens. At Ctrl-C, or SIGTERM, it
accepts no more, closes what has nothing to send, and sends the rest for a second at most. A second Ctrl-C ends
it at once."""

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


def main(arguments: list[str]) -> int:
    """The command line."""
    if not 1 <= len(arguments) <= 2 or arguments[0] != "echo":
        print(__doc__, file=sys.stderr)
        return 2
    try:
        echo(arguments[1] if len(arguments) == 2 else "127.0.0.1:9999")
    except KeyboardInterrupt:  # before the loop has the signal, or after
        pass
    except OSError as problem:
        print(f"sluiceio: {problem.strerror or problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python's own end must not be interrupted
    sys.exit(code)
