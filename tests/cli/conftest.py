"""Lets the tests here share the daemon they run."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
