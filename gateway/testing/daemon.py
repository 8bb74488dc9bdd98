"""The daemon with failpoints: ``python -m gateway.testing.daemon run --config …``.

Only this entry arms faults from the environment; `gateway run` never does.
"""

from __future__ import annotations

from gateway.cli import main
from gateway.testing.faults import arm_from_environment

if __name__ == "__main__":
    arm_from_environment()
    main()
