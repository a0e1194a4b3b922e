"""What every test run shares."""

import gc
import sys


def pytest_collection_finish():
    """Save time that exports spend on what does not concern the tests.

    Every export collects garbage, and would look through all objects of the imported libraries. The child process that
    converts is replaced after some jobs, for the memory that converters leak; a test run can spare that memory.
    """
    gc.collect()
    gc.freeze()
    if client := sys.modules.get("keras_norms.export.worker.client"):
        client._JOBS_PER_CHILD = 60
