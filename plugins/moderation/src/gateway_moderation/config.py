"""Configuration of the plugin: ``[plugins.moderation]``."""

from __future__ import annotations

from typing import Literal

from pydantic import FilePath

from gateway.plugin import Section


class ModerationConfig(Section):
    """Which words are looked for, and what happens to a message that has one."""

    lists: tuple[FilePath, ...] = ()
    """Files of the city's own words: UTF-8, a word or phrase a line, # for comments."""

    builtin: bool = True
    """Whether the Italian list that comes with the plugin is used."""

    action: Literal["hold", "flag"] = "hold"
    """hold: staff decide before it goes on; flag: it goes on, marked."""
