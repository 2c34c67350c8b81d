"""echo.py ADDRESS LOOP KIND: an echo server, to be counted. LOOP is sluiceio, uvloop or asyncio; KIND is
protocol or stream, or, of sluiceio, loop. It prints its address and ends at SIGTERM."""

import asyncio
import signal
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def answer(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def serve(host, port, kind):
    loop = asyncio.get_running_loop()
    stop = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, stop.set_result, None)
    if kind == "protocol":
        server = await loop.create_server(Echo, host, port, backlog=1024)
    else:
        server = await asyncio.start_server(answer, host, port, backlog=1024)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await stop


def pulled(address):
    import sluiceio
    from sluiceio import DATA, SIGNAL

    with sluiceio.Loop() as loop:
        print(loop.local_address(loop.listen(address)), flush=True)
        loop.signal(signal.SIGTERM)
        for event in loop:
            if event.kind is DATA:
                loop.write(event.id, event.data)
            elif event.kind is SIGNAL:
                break


def main(address, name, kind):
    if kind == "loop":
        return pulled(address)
    host, _, port = address.rpartition(":")
    if name == "sluiceio":
        from sluiceio.aio import new_event_loop
    elif name == "uvloop":
        from uvloop import new_event_loop
    else:
        from asyncio import new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(host, int(port), kind))


if __name__ == "__main__":
    main(*sys.argv[1:])
