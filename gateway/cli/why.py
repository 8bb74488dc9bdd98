"""Why a message went to its service, as a line for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson


def why(grounds: str | None, text: str) -> str:
    """Return stored `gateway.model.Grounds` in words; what spoke is quoted from text.

    ``rules[2]: «buca», «asfalto»; canale: pec; not: rifiuti 1`` - or "" without any.
    """
    if grounds is None:
        return ""
    given: Mapping[str, Any] = orjson.loads(grounds)
    quoted = [f"«{text[c['start'] : c['end']]}»" for c in given["clues"]]
    others = [f"{a['service']} {a['score']:.3g}" for a in given["alternatives"]]
    parts = [
        ", ".join(quoted),
        *given["conditions"],
        f"not: {', '.join(others)}" if others else "",
    ]
    said = "; ".join(part for part in parts if part)
    return ": ".join(part for part in (given["rule"] or given["layer"], said) if part)
