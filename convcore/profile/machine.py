"""What a measurement was made on and with."""

import datetime
import importlib.metadata
import pathlib
import platform

import numpy as np

from convcore import threads


def describe():
    """Return processor, system, versions and the time, as a JSON-able dict."""
    return {
        "processor": processor(),
        "processors": threads.detect()[0],
        "platform": platform.platform(),
        "convcore": importlib.metadata.version("convcore"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def processor(cpuinfo="/proc/cpuinfo"):
    """Return the processor's name: as Linux tells it, else what Python knows."""
    path = pathlib.Path(cpuinfo)
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
