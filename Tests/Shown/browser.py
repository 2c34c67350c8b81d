"""A browser without a window, driven by the Chrome DevTools protocol over two pipes."""

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

from sockets import PATIENCE

NAME = next(filter(shutil.which, ("chromium-headless-shell", "chromium")), None)

# Becomes a program, with two descriptors at the numbers 3 and 4.
AS_3_AND_4 = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One page. Its console's errors are kept in `errors`."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        its_input, self.to = os.pipe()
        self.of, its_output = os.pipe()
        self.number = 0
        self.rest = b""
        self.errors = []
        # The browser reads from descriptor 3, and writes to descriptor 4.
        self.process = subprocess.Popen(
            [sys.executable, "-c", AS_3_AND_4, str(its_input), str(its_output),
             NAME, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={self.folder.name}"],
            pass_fds=[its_input, its_output], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(its_input)
        os.close(its_output)
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call(
            "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.close(self.to)
        os.close(self.of)
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while (answer := self.receive()).get("id") != self.number:
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.errors.append(answer["params"])
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def receive(self):
        while b"\0" not in self.rest:
            if not select.select([self.of], [], [], PATIENCE)[0]:
                raise AssertionError("the browser does not answer")
            more = os.read(self.of, 1 << 16)
            if not more:
                raise AssertionError("the browser has ended")
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, address, width=1100, height=1250):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        return self.call("Page.navigate", url=address)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True,
                           returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, expression):
        """Waits until the expression is true on the page, which may not be loaded yet."""
        end = time.monotonic() + PATIENCE
        while not (value := self.value(f"(() => {{ try {{ return {expression}; }} catch {{ return false; }} }})()")):
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain: {expression}; {self.errors}")
            time.sleep(0.02)
        return value

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
