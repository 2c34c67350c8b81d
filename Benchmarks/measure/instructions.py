"""User-space instructions from the processor's own counters: perf_event_open(2), if it is allowed.

A virtual machine often has no such counters. Then callgrind counts the instructions (counting.py).
"""

import ctypes
import os
import platform
import struct

SYSTEM_CALL = {"x86_64": 298, "aarch64": 241}
HARDWARE, INSTRUCTIONS = 0, 1
INHERIT, EXCLUDE_KERNEL, EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
ATTRIBUTE_BYTES = 64  # PERF_ATTR_SIZE_VER0


def open_counter(task, kind=HARDWARE, config=INSTRUCTIONS):
    """A descriptor that counts for a task from now on, or None if there is no such counter."""
    number = SYSTEM_CALL.get(platform.machine())
    if number is None:
        return None
    flags = INHERIT | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR
    attribute = struct.pack("=IIQQQQQ", kind, ATTRIBUTE_BYTES, config, 0, 0, 0, flags)
    attribute = ctypes.create_string_buffer(attribute, ATTRIBUTE_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    any_cpu, no_group, no_flags = -1, -1, 0
    descriptor = libc.syscall(number, attribute, task, any_cpu, no_group, no_flags)
    return descriptor if descriptor >= 0 else None


def available():
    descriptor = open_counter(os.getpid())
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


class Instructions:
    """Counts while it is entered, for all threads that a process has. Without counters, `count` is None."""

    def __init__(self, process):
        self.process = process
        self.count = None

    def __enter__(self):
        tasks = os.listdir(f"/proc/{self.process}/task")
        self.counters = [open_counter(int(task)) for task in tasks]
        return self

    def __exit__(self, *_):
        if None not in self.counters:
            self.count = sum(struct.unpack("=Q", os.read(c, 8))[0] for c in self.counters)
        for counter in self.counters:
            if counter is not None:
                os.close(counter)
