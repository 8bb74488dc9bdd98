"""Lets the story use what the plugins' tests have: providers, servers, a telephone."""

import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]

sys.path.append(str(Path(__file__).parent))
for _place in ("email/tests/pec", "delivery/tests"):
    sys.path.append(str(_ROOT / "plugins" / _place))
