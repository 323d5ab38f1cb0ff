"""Writes the dashboards and alert rules from their descriptions.

python -m deploy.grafana.build            writes deploy/grafana/json and the provisioned alert rules
python -m deploy.grafana.build --check    says which files are not what the descriptions make; exit code 1
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import rules
from deploy.grafana.board import Board, make
from deploy.grafana.current import bring_up_to_date
from deploy.grafana.dashboards import alerts, detectors, housekeeping, night, queues, transfer

HERE: Final = Path(__file__).parent
BOARDS: Final[Sequence[Board]] = (
    night.BOARD,
    transfer.BOARD,
    queues.BOARD,
    detectors.BOARD,
    housekeeping.BOARD,
    alerts.BOARD,
)
_RULES_HEAD: Final = "# Made by deploy/grafana/build.py from deploy/grafana/rules.py: change them there.\n"


def files() -> Mapping[Path, str]:
    """Every file that the descriptions make, with its text."""
    made: dict[Path, str] = {}
    panels: dict[tuple[str, str], int] = {}
    for board in BOARDS:
        document = bring_up_to_date(json.loads(json.dumps(make(board), cls=JSONEncoder)))
        text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False)
        made[HERE / "json" / f"{board.uid}.json"] = text + "\n"
        panels |= {(board.uid, panel["title"]): panel["id"] for panel in document["panels"]}
    text = yaml.safe_dump(rules.document(panels), sort_keys=False, allow_unicode=True, width=120)
    made[HERE / "provisioning" / "alerting" / "rules.yaml"] = _RULES_HEAD + text
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not up to date")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path], encoding="utf-8")
        sys.stdout.write(f"{'not up to date' if check else 'written'}: {path.relative_to(HERE)}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
