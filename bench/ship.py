"""Shipping speed over an emulated long link and over loopback, against what people use today.

Run as `python bench/ship.py [--quick] [--json] [--only PREFIX] [--congestion NAME]`. Ours and the peers send the same
bytes to the same sshd, alternately; everything lies in memory (/dev/shm). The link needs root (network namespaces,
TAP devices) and a C compiler; without them only the loopback rows are measured. See docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rig.link import missing
from rig.rows import show
from rig.ship_lan import lan
from rig.ship_plan import QUICK, Bench, Plan
from rig.ship_wan import wan


def main() -> None:
    """Measure and print each row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small files, rsync only on the long link; below 45 s")
    parser.add_argument("--json", action="store_true", help="one JSON object per row")
    parser.add_argument("--only", default="ship", metavar="PREFIX", help="only rows whose name begins so")
    parser.add_argument("--congestion", metavar="NAME", help="congestion control of programs that ask for none")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything made is removed
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="nf-ship-", dir=memory if os.access(memory, os.W_OK) else None) as name:
        bench = Bench(Path(name), QUICK if options.quick else Plan(), options.only, options.congestion)
        try:
            if bench.wants("ship.wan"):
                if why := missing():
                    print(f"no long link: {why}; only the loopback rows are measured", file=sys.stderr)
                else:
                    for each in wan(bench):
                        show(each, as_json=options.json)
            for each in lan(bench):
                show(each, as_json=options.json)
        except KeyboardInterrupt:
            print("stopped; everything made is removed again", file=sys.stderr)
            sys.exit(130)


if __name__ == "__main__":
    main()
