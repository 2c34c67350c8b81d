"""make install installs what pkg-config and CMake find and programs link against. make uninstall
removes it."""

import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
VERSION = (ROOT / "VERSION").read_text().strip()
MAJOR = VERSION.split(".")[0]
PREFIX = "/opt/sluice"
PATIENCE = 60  # seconds, enough also on a busy machine
INSTALLED = {
    "include/sluice.h", "include/sluice.hpp", "include/sluice_libevent.h",
    "include/sluice_source.h",
    "lib/cmake/Sluice/SluiceConfig.cmake", "lib/cmake/Sluice/SluiceConfigVersion.cmake",
    "share/man/man1/sluice-echo.1",
} | {
    path
    for name in ("sluice", "sluice-libevent")
    for path in (
        f"lib/lib{name}.a",
        f"lib/lib{name}.so",
        f"lib/lib{name}.so.{MAJOR}",
        f"lib/lib{name}.so.{VERSION}",
        f"lib/pkgconfig/{name}.pc",
    )
}

# Prints its backend, for the test of libevent's part.
OVER_LIBEVENT = """
#include <sluice_libevent.h>
#include <stdio.h>

int main(void) {
    sluice_poller *poller;
    if (sluice_libevent_register() < 0 || sluice_poller_create(&poller, "libevent:poll") < 0)
        return 1;
    puts(sluice_poller_backend_name(poller));
    sluice_poller_destroy(poller);
}
"""

# One program for each target. If something is found that must not be found, its place is named.
CMAKE_PROJECT = f"""
cmake_minimum_required(VERSION 3.13)
project(user C CXX)
find_package(Sluice 0.1 REQUIRED COMPONENTS libevent)
foreach(kind "" _static)
    add_executable(echo${{kind}} echo.c)
    target_link_libraries(echo${{kind}} Sluice::sluice${{kind}})
    add_executable(plus${{kind}} plus.cpp)
    target_link_libraries(plus${{kind}} Sluice::sluice${{kind}})
    target_compile_features(plus${{kind}} PRIVATE cxx_std_17)
    add_executable(over${{kind}} over.c)
    target_link_libraries(over${{kind}} Sluice::libevent${{kind}})
endforeach()
foreach(version 0.1 {VERSION} "{VERSION};EXACT" 0.0.9...9 99.0 0.99 "0.0.9;EXACT" 0.0.1...0.0.9)
    find_package(Sluice ${{version}} QUIET)
    message(STATUS "${{version}} found: ${{Sluice_FOUND}}")
endforeach()
find_package(Sluice QUIET COMPONENTS nothing)
message(STATUS "nothing found: ${{Sluice_FOUND}}")
"""

CXX_PROGRAM = """
#include <sluice.hpp>

int main() {
    sluice::Loop loop;
    loop.poster().post(1);
    for (const sluice::Event &event : loop)
        return event.value == 1 ? 0 : 1;
}
"""


def make(target, stage, *variables):
    command = ["make", "-s", target, f"DESTDIR={stage}", f"PREFIX={PREFIX}", *variables]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=300)


def files(stage):
    """Everything that is there except folders, by path."""
    found = (path for path in pathlib.Path(stage).rglob("*") if path.is_symlink() or path.is_file())
    return {str(path.relative_to(stage)) for path in found}


class InstallTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.stage = f"{folder.name}/stage"
        self.work = pathlib.Path(folder.name, "work")
        self.work.mkdir()
        self.tree = f"{self.stage}{PREFIX}"

    def flags(self, *options, package="sluice"):
        environment = os.environ | {
            "PKG_CONFIG_PATH": f"{self.tree}/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": self.stage}
        output = subprocess.run(["pkg-config", *options, package], env=environment, check=True,
                                capture_output=True, text=True, timeout=PATIENCE)
        return output.stdout.split()

    def source(self):
        """The echo server of the first page, with an address that nobody else uses."""
        program = (ROOT / "Examples/c/echo.c").read_text()
        self.address = f"{self.work}/echo.sock"
        source = self.work / "echo.c"
        source.write_text(program.replace("127.0.0.1:9999", f"unix:{self.address}"))
        return source

    def build(self, *flags):
        subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", self.source(), "-o",
                        self.work / "echo", *flags], check=True, timeout=300)

    def assert_echoes(self, program="echo"):
        environment = os.environ | {"LD_LIBRARY_PATH": f"{self.tree}/lib"}
        with subprocess.Popen([self.work / program], env=environment) as server:
            self.addCleanup(server.kill)
            end = time.monotonic() + PATIENCE
            while not os.path.exists(self.address):
                self.assertIsNone(server.poll(), "the server has ended")
                self.assertLess(time.monotonic(), end, "it does not listen")
                time.sleep(0.005)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(self.address)
                client.sendall(b"hello")
                client.shutdown(socket.SHUT_WR)
                back = b""
                while piece := client.recv(100):
                    back += piece
                self.assertEqual(back, b"hello")
            server.kill()
        if os.path.exists(self.address):
            os.unlink(self.address)

    def needed(self, program="echo"):
        output = subprocess.run(["readelf", "-d", self.work / program], check=True,
                                capture_output=True, text=True, timeout=PATIENCE)
        return output.stdout

    def test_a_program_builds_against_the_shared_library(self):
        make("install", self.stage)
        self.build(*self.flags("--cflags", "--libs"))
        self.assertIn(f"libsluice.so.{MAJOR}]", self.needed())
        self.assert_echoes()

    def test_a_program_builds_against_the_archive(self):
        make("install", self.stage)
        self.build("-static", *self.flags("--static", "--cflags", "--libs"))
        self.assertNotIn("NEEDED", self.needed())
        self.assert_echoes()

    def test_libevent_is_a_backend_of_who_links_it_too(self):
        make("install", self.stage)
        source, program = self.work / "over.c", self.work / "over"
        source.write_text(OVER_LIBEVENT)
        environment = os.environ | {"LD_LIBRARY_PATH": f"{self.tree}/lib"}
        for static in (False, True):
            flags = self.flags("--cflags", "--libs", *["--static"] * static,
                               package="sluice-libevent")
            # Captured, because the linker warns about a libc function that libevent calls.
            subprocess.run(["gcc", "-std=c11", "-Wall", "-Werror", source, "-o", program,
                            *["-static"] * static, *flags],
                           check=True, capture_output=True, timeout=300)
            said = subprocess.run([program], env=environment, check=True, capture_output=True,
                                  text=True, timeout=PATIENCE)
            self.assertEqual(said.stdout, "libevent:poll\n")

    def test_cmake_finds_it_where_it_was_moved_to(self):
        make("install", self.stage)
        self.source()
        (self.work / "over.c").write_text(OVER_LIBEVENT)
        (self.work / "plus.cpp").write_text(CXX_PROGRAM)
        (self.work / "CMakeLists.txt").write_text(CMAKE_PROJECT)
        said = subprocess.run(["cmake", "-S", self.work, "-B", self.work / "build",
                               f"-DCMAKE_PREFIX_PATH={self.tree}"],
                              check=True, capture_output=True, text=True, timeout=300).stdout
        found = dict(re.findall(r"-- (\S+) found: (\d)", said))
        self.assertEqual(found, {
            "0.1": "1", VERSION: "1", f"{VERSION};EXACT": "1", "0.0.9...9": "1",
            "99.0": "0", "0.99": "0", "0.0.9;EXACT": "0", "0.0.1...0.0.9": "0", "nothing": "0"})
        subprocess.run(["cmake", "--build", self.work / "build", "-j2"], check=True,
                       capture_output=True, timeout=300)
        for kind in ("", "_static"):
            shared = kind == ""
            self.assertEqual(f"libsluice.so.{MAJOR}]" in self.needed(f"build/echo{kind}"), shared)
            self.assert_echoes(f"build/echo{kind}")
            for program, expected in (("plus", ""), ("over", "libevent:poll\n")):
                said = subprocess.run([self.work / f"build/{program}{kind}"], check=True,
                                      capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual(said.stdout, expected)

    def test_uninstalling_leaves_nothing_and_takes_no_more(self):
        strangers = {"include/other.h", "lib/libother.a", "lib/pkgconfig/other.pc", "share/man/man3/other.3"}
        for name in strangers:
            path = pathlib.Path(self.tree, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        make("install", self.stage)
        make("install", self.stage)  # over itself
        pages = {f"share/man/man3/{path.name}" for path in (ROOT / "build/man").glob("*.3")}
        self.assertLess({"share/man/man3/sluice.3", "share/man/man3/sluice_write.3"}, pages)
        self.assertEqual(files(self.tree), INSTALLED | pages | strangers)
        make("uninstall", self.stage)
        self.assertEqual(files(self.stage), {f"{PREFIX[1:]}/{name}" for name in strangers})
        make("uninstall", self.stage)  # nothing there is no error

    def test_libraries_go_where_they_are_told_to(self):
        make("install", self.stage, "LIBDIR=/opt/lib64", "INCLUDEDIR=/opt/headers")
        installed = files(self.stage)
        self.assertIn(f"opt/lib64/libsluice.so.{VERSION}", installed)
        self.assertIn("opt/headers/sluice.h", installed)
        text = pathlib.Path(self.stage, "opt/lib64/pkgconfig/sluice.pc").read_text()
        self.assertIn("libdir=/opt/lib64\n", text)
        self.assertIn("includedir=/opt/headers\n", text)
        make("uninstall", self.stage, "LIBDIR=/opt/lib64", "INCLUDEDIR=/opt/headers")
        self.assertEqual(files(self.stage), set())

    def test_the_package_has_the_version(self):
        make("install", self.stage)
        self.assertEqual(self.flags("--modversion"), [VERSION])


if __name__ == "__main__":
    unittest.main()
