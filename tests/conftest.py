"""What holds for every test: the marker `runtime` for whatever starts a process, and three savings."""

import gc
import os
import subprocess
import sys

import pytest

# A converter's process lives for this many jobs here, each of which costs it about 5 MB; a new one costs 5 seconds.
JOBS_PER_CHILD = 300
CLIENT = "keras_norms.export.worker.client"
# What libraries start as they are imported, for a moment.
ASK_THE_SYSTEM = {"uname", "lscpu", "ldconfig", "/sbin/ldconfig"}

started = subprocess.Popen.__init__
unmarked = None  # the running test, if it may not start a process


def start(self, args, *others, **options):
    command = os.fspath(args if isinstance(args, (str, os.PathLike)) else args[0])
    if unmarked is not None and command not in ASK_THE_SYSTEM:
        pytest.fail(f"{unmarked} starts a process ({args}): mark this test runtime")
    started(self, args, *others, **options)


def pytest_configure(config):
    gc.disable()  # until all is imported: nothing of it is garbage, and it would be looked through again and again
    subprocess.Popen.__init__ = start
    # The files in their own order, which ends with quick ones: by the number of its tests, a file of one long test
    # would come last, and the other core would wait for it.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_unconfigure():
    gc.enable()  # where the collection failed
    subprocess.Popen.__init__ = started


def pytest_collection_finish():
    if CLIENT in sys.modules:
        sys.modules[CLIENT]._JOBS_PER_CHILD = JOBS_PER_CHILD
    _keep_what_is_left()
    gc.enable()


def _keep_what_is_left():
    """What the imports made, or a file of tests has left, stays for good: no export need search it for garbage again.

    That took half a second each time, and what libraries keep of every model would add to it from file to file.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """A test without the marker, and the fixtures that it is the first to ask for, start no process and find none."""
    try:
        return (yield from _guarded(item))
    finally:
        if nextitem is not None and nextitem.path != item.path:
            _keep_what_is_left()


def _guarded(item):
    global unmarked
    if item.get_closest_marker("runtime"):
        return (yield)
    client = sys.modules.get(CLIENT)
    child = client and client._child
    unmarked = item.nodeid
    if child:
        client._child = None
    try:
        return (yield)
    finally:
        unmarked = None
        if child:
            client._child = child
