"""Holds a plugin's implementations to the hook specifications.

pluggy checks neither types nor colour, and takes a misspelt hook for no hook at all.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, NoReturn, get_args, get_origin

from gateway import hookspecs
from gateway.errors import PluginError
from gateway.plugin import Context, Plugin

_CALLED_DIRECTLY = ("wrapper", "hookwrapper")


def specs() -> dict[str, Callable[..., Any]]:
    """Return the specification of every hook by its name."""
    return {
        name: function
        for name, function in vars(hookspecs).items()
        if hasattr(function, "gateway_spec")
    }


def check(
    plugin_name: str, plugin: Plugin[Any], options: Mapping[str, Mapping[str, Any]]
) -> None:
    """Compare each implementation (method name → its hookimpl options) with its spec.

    What has no annotation is not compared: results are checked when they come.

    Raises:
        PluginError: names plugin, hook, what was found and what is wanted.

    """
    wanted = specs()
    for method, opts in options.items():
        hook = opts.get("specname") or method
        each = _Implementation(plugin_name, hook, plugin, getattr(plugin, method))
        if hook not in wanted:
            each.refuse("no such hook", "one of " + ", ".join(sorted(wanted)))
        if any(opts.get(option) for option in _CALLED_DIRECTLY):
            each.refuse("a hook wrapper", "a plain implementation")
        each.check(wanted[hook])


class _Implementation:
    """One method of a plugin that implements a hook."""

    def __init__(
        self, plugin_name: str, hook: str, plugin: Plugin[Any], method: Any
    ) -> None:
        self._plugin_name = plugin_name
        self._hook = hook
        self._config = plugin.config
        self._method = method

    def refuse(self, found: str, wanted: str) -> NoReturn:
        raise PluginError(
            f"plugin {self._plugin_name}, hook {self._hook}:"
            f" found {found}; wanted {wanted}"
        )

    def check(self, spec: Callable[..., Any]) -> None:
        self._check_colour(spec)
        self._check_parameters(spec)
        wanted = typing.get_type_hints(spec)
        hints = self._hints()
        result = hints.pop("return", Any)
        if not _fits(result, wanted["return"]):
            self.refuse(f"-> {_name(result)}", f"-> {_name(wanted['return'])}")
        for parameter, found in hints.items():
            if not self._takes(found, wanted[parameter]):
                self.refuse(
                    f"{parameter}: {_name(found)}",
                    f"{parameter}: {_name(wanted[parameter])}",
                )

    def _check_colour(self, spec: Callable[..., Any]) -> None:
        wanted = inspect.iscoroutinefunction(spec)
        if inspect.iscoroutinefunction(self._method) is not wanted:
            colours = ("def", "async def")
            self.refuse(colours[not wanted], colours[wanted])

    def _check_parameters(self, spec: Callable[..., Any]) -> None:
        wanted = list(inspect.signature(spec).parameters)
        found = list(inspect.signature(self._method).parameters)
        if not set(found) <= set(wanted):
            self.refuse(f"parameters {_list(found)}", f"some of {_list(wanted)}")

    def _hints(self) -> dict[str, Any]:
        try:
            return typing.get_type_hints(self._method)
        except NameError as error:
            self.refuse(
                f"an annotation that can't be read ({error})",
                "its types imported at run time, not under TYPE_CHECKING",
            )

    def _takes(self, found: Any, wanted: Any) -> bool:
        """Tell whether a parameter annotated ``found`` takes what the spec passes."""
        if found in (Any, object) or wanted in _parts(found):
            return True
        if wanted == Context[Any]:
            return found is Context or found == Context[self._config]  # type: ignore[name-defined] # a type made at run time
        return False


def _fits(found: Any, wanted: Any) -> bool:
    """Tell whether a result annotated ``found`` is one the spec promises."""
    if found is Any or found == wanted:
        return True
    if isinstance(wanted, UnionType) or get_origin(wanted) is typing.Union:
        return all(part in get_args(wanted) for part in _parts(found))
    origin = get_origin(wanted)
    if origin is None:
        return False
    narrower = get_origin(found)
    return (
        isinstance(narrower, type)
        and issubclass(narrower, origin)
        and set(get_args(found)) - {Ellipsis} == set(get_args(wanted))
    )


def _parts(hint: Any) -> Iterable[Any]:
    if isinstance(hint, UnionType) or get_origin(hint) is typing.Union:
        return get_args(hint)
    return (NoneType if hint is None else hint,)


def _name(hint: Any) -> str:
    return inspect.formatannotation(hint)


def _list(names: Iterable[str]) -> str:
    return f"({', '.join(names)})"
