"""TOML → typed sections, all problems at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every configuration section: strict, and frozen once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class NoConfig(Section):
    """The section of a plugin that has nothing to configure."""
