"""echo.py [ADDRESS] - an echo server that says where it listens, and on SIGTERM ends in order: it
accepts no more, sends what is queued, and waits until each peer has it."""

import signal
import sys

import sluice


def serve(loop, address):
    listener = loop.listen(address)
    terminate = [loop.signal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    print("listening on", loop.local_address(listener), flush=True)
    streams = set()
    ending = False
    for event in loop:
        if event.kind == sluice.ACCEPTED:
            streams.add(event.id)
        elif event.kind == sluice.DATA:
            loop.write(event.id, event.data)
        elif event.kind == sluice.CLOSED:
            streams.remove(event.id)
        elif event.kind == sluice.SIGNAL:
            ending = True
            for handle in [listener, *terminate, *streams]:
                loop.close(handle)
        if ending and event.kind == sluice.ACCEPTED:  # of the same batch as the signal
            loop.close(event.id)
        if ending and not streams:
            return


if __name__ == "__main__":
    try:
        with sluice.Loop() as new_loop:
            serve(new_loop, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9999")
    except OSError as error:
        sys.exit(f"echo.py: {error}")
