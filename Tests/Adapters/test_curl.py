"""Examples/c/curl against nginx: a hundred downloads at once, each compared by its hash."""

import functools
import hashlib
import os
import pathlib
import random
import tempfile
import unittest

from adapters import Server, build, run_program
from sockets import refused_address

COUNT = 100


@functools.cache
def fetch():
    return build("curl/fetch.c", "libcurl")


CONFIGURATION = """\
daemon off;
master_process off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/files;
    }}
}}
"""


def nginx(folder, port):
    (folder / "files").mkdir(exist_ok=True)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, user=user))
    return ["nginx", "-p", str(folder), "-c", str(configuration), "-e", "stderr"]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_files(folder):
    """Files of different sizes: nothing, a byte, about a packet, up to some megabytes."""
    numbers = random.Random(1)
    for number in range(COUNT):
        size = [0, 1, 1460, 65536, 4_000_000][number] if number < 5 else int(
            2 ** (numbers.random() * 21))
        (folder / str(number)).write_bytes(numbers.randbytes(size))


class CurlTest(unittest.TestCase):
    def test_a_hundred_downloads_at_once(self):
        with Server(nginx) as server, tempfile.TemporaryDirectory() as target:
            files = pathlib.Path(server.folder.name) / "files"
            make_files(files)
            urls = [f"http://127.0.0.1:{server.port}/{number}" for number in range(COUNT)]
            result = run_program(fetch(), target, *urls)
            self.assertEqual(result.stdout, f"{COUNT} at once, 0 failed\n")
            self.assertEqual(result.returncode, 0)
            for number in range(COUNT):
                self.assertEqual(
                    digest(pathlib.Path(target) / str(number)), digest(files / str(number)), number)

    def test_what_fails_is_said_and_the_rest_comes(self):
        with Server(nginx) as server, tempfile.TemporaryDirectory() as target:
            here = f"http://127.0.0.1:{server.port}"
            (pathlib.Path(server.folder.name) / "files/there").write_bytes(b"here I am")
            result = run_program(
                fetch(), target, f"{here}/not-there", f"http://{refused_address()}/",
                f"{here}/there")
            self.assertEqual(result.returncode, 1)
            self.assertIn("/not-there: No error, status 404", result.stdout)
            self.assertIn("Couldn't connect", result.stdout)
            self.assertIn("3 at once, 2 failed", result.stdout)
            self.assertEqual((pathlib.Path(target) / "2").read_bytes(), b"here I am")


if __name__ == "__main__":
    unittest.main()
