"""Shipping speed over an emulated long link and over loopback, against what people use today.

Run as `python bench/ship.py [--quick] [--json] [--only PREFIX] [--congestion NAME]`. Ours and the peers send the same
bytes to the same sshd, alternately; everything lies in memory (/dev/shm). The link needs root (network namespaces,
TAP devices) and a C compiler; without them only the loopback rows are measured. See docs/benchmarks.md.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rig.command import in_memory, parser, show_all
from rig.link import missing
from rig.ship_lan import lan
from rig.ship_plan import QUICK, Bench, Plan
from rig.ship_wan import wan


def main() -> None:
    """Measure and print each row as soon as it is known."""
    known = parser(__doc__, "small files, rsync only on the long link; below 45 s", whole=True)
    known.add_argument("--only", default="ship", metavar="PREFIX", help="only rows whose name begins so")
    known.add_argument("--congestion", metavar="NAME", help="congestion control of programs that ask for none")
    options = known.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that everything made is removed
    with in_memory("nf-ship-") as work:
        bench = Bench(work, QUICK if options.quick else Plan(), options.only, options.congestion)
        try:
            if bench.wants("ship.wan"):
                if why := missing():
                    print(f"no long link: {why}; only the loopback rows are measured", file=sys.stderr)
                else:
                    show_all(wan(bench), options)
            show_all(lan(bench), options)
        except KeyboardInterrupt:
            print("stopped; everything made is removed again", file=sys.stderr)
            sys.exit(130)


if __name__ == "__main__":
    main()
