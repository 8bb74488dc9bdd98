"""Prints docs/hooks.md from the hook specifications."""

from __future__ import annotations

import inspect
import sys

from gateway import hookspecs


def page() -> str:
    """Return the page: one section a hook, in the order of the source."""
    sections = [
        inspect.getdoc(hookspecs) or "",
        "<!-- made by scripts/make_hooks_page.py -->",
    ]
    for name, function in vars(hookspecs).items():
        if getattr(function, "gateway_spec", None) is not None:
            colour = "async " if inspect.iscoroutinefunction(function) else ""
            signature = str(inspect.signature(function)).replace("'", "")
            head = f"## {name}\n\n```text\n{colour}def {name}{signature}\n```"
            sections.append(f"{head}\n\n{inspect.getdoc(function)}")
    return "# Hooks\n\n" + "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
