"""Where the programs are: in an unpacked archive, or in a checkout that was built."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def find_fathom(given=None):
    """The program `fathom`: the given one, else the archive's or the checkout's."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    places = [given] if given else [ROOT / "fathom", target / "release" / "fathom"]
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place.resolve()
    raise SystemExit("fathom is missing: looked for " + " and ".join(str(place) for place in places)
                     + "; build it with scripts/setup and cargo build --release, or name it with --fathom PATH")
