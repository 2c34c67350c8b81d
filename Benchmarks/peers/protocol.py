"""An echo server as a Protocol on an event loop for asyncio: protocol.py ADDRESS LOOP, where LOOP is
asyncio, uvloop or sluiceio."""

import asyncio
import resource
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def serve(host, port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, host, port, backlog=1024)
    print("%s:%d" % server.sockets[0].getsockname(), flush=True)
    await server.serve_forever()


def main(address, name):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    host, _, port = address.rpartition(":")
    if name == "sluiceio":
        from sluiceio.aio import new_event_loop
    elif name == "uvloop":
        from uvloop import new_event_loop
    else:
        from asyncio import new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(host, int(port)))


if __name__ == "__main__":
    main(*sys.argv[1:])
