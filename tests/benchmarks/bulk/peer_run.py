"""Run by the peer's Python: a whole run of it, with the settings of a JSON file.

``cpus`` there is how many processors it is told that there are: it takes one worker fewer.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]


def run(settings: dict[str, Any]) -> None:
    """Run the peer, and leave with an error unless it completes."""
    cpus = settings.pop("cpus")
    os.cpu_count = lambda: cpus
    psutil.cpu_count = lambda logical=True: cpus
    from cutana import Orchestrator, get_default_config  # type: ignore[import-not-found]

    config = get_default_config()
    config.max_workers = cpus - 1
    config.loadbalancer.skip_memory_calibration_wait = True
    config.loadbalancer.main_process_memory_reserve_gb = 0.5
    for name, value in settings.items():
        part, _, key = name.rpartition(".")
        (config[part] if part else config)[key] = value
    result = Orchestrator(config).run()
    if result["status"] != "completed":
        sys.exit(str(result))


if __name__ == "__main__":
    run(json.loads(Path(sys.argv[1]).read_text()))
