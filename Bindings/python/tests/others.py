"""aiohttp and websockets on Sluice's event loop, under a load, with every byte checked.

    python others.py [SECONDS]

Clients and servers are those of the libraries, in one loop: requests with bodies of any size, both plain and
over TLS, and messages of any size over web sockets. What comes back has to be what was sent.
"""

import asyncio
import os
import random
import ssl
import subprocess
import sys
import tempfile
import time

import aiohttp
import aiohttp.web
import sluiceio
import websockets

SEED = int(os.environ.get("SLUICE_SEED") or random.SystemRandom().randrange(1 << 32))
CLIENTS = 24
# All clients and servers run on one loop. On a busy machine it is slow, and the libraries must not give up.
PATIENT_HTTP = aiohttp.ClientTimeout(total=None)
PATIENT = {"open_timeout": None, "close_timeout": None, "ping_interval": None}


def tls(folder):
    """The contexts of a server with a certificate that is made now, and of a client who knows it."""
    key, certificate = f"{folder}/key.pem", f"{folder}/certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)


async def echo_request(request):
    """As it came, in one piece or in many."""
    if request.query.get("pieces"):
        response = aiohttp.web.StreamResponse()
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response
    return aiohttp.web.Response(body=await request.read())


async def echo_messages(connection):
    async for message in connection:
        await connection.send(message)


def body(numbers):
    return numbers.randbytes(1 << numbers.randrange(20))


async def ask_by_http(url, context, numbers, until):
    count = 0
    async with aiohttp.ClientSession(timeout=PATIENT_HTTP) as session:
        while time.monotonic() < until:
            sent = body(numbers)
            pieces = {"pieces": "1"} if numbers.random() < 0.5 else {}
            async with session.post(url, data=sent, ssl=context, params=pieces) as response:
                received = await response.read()
            assert received == sent, f"SLUICE_SEED={SEED}"
            count += 1
    return count


async def ask_by_messages(url, context, numbers, until):
    count = 0
    while time.monotonic() < until:
        async with websockets.connect(url, ssl=context, max_size=None, **PATIENT) as connection:
            for _ in range(20):
                sent = body(numbers)
                await connection.send(sent)
                assert await connection.recv() == sent, f"SLUICE_SEED={SEED}"
                count += 1
    return count


async def serve_and_ask(seconds, folder):
    server_tls, client_tls = tls(folder)
    numbers = random.Random(SEED)
    app = aiohttp.web.Application(client_max_size=1 << 24)
    app.router.add_post("/", echo_request)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    asked = {}
    until = time.monotonic() + seconds
    for name, server, client in (("http", None, None), ("https", server_tls, client_tls)):
        site = aiohttp.web.TCPSite(runner, "localhost", 0, ssl_context=server)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        asked[name] = [
            ask_by_http(f"{name}://localhost:{port}/", client or True, numbers, until)
            for _ in range(CLIENTS)]
    servers = []
    for name, server, client in (("ws", None, None), ("wss", server_tls, client_tls)):
        servers.append(await websockets.serve(
            echo_messages, "localhost", 0, ssl=server, max_size=None, **PATIENT))
        port = servers[-1].sockets[0].getsockname()[1]
        asked[name] = [
            ask_by_messages(f"{name}://localhost:{port}/", client, numbers, until)
            for _ in range(CLIENTS)]
    counts = await asyncio.gather(*(asyncio.gather(*each) for each in asked.values()))
    for name, each in zip(asked, counts):
        print(f"{name}: {sum(each)} echoes on {CLIENTS} connections, every byte as it was sent")
    for server in servers:
        server.close()
        await server.wait_closed()
    await runner.cleanup()


def main():
    with tempfile.TemporaryDirectory() as folder:
        seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
        sluiceio.run(serve_and_ask(seconds, folder))


if __name__ == "__main__":
    main()
