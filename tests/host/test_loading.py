"""Plugins are found by name, loaded in order, and a failure names its cause."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway.errors import PluginError
from gateway.host import PluginHost, loading
from gateway.plugin import NoConfig, Plugin

HERE = Path(__file__).parent


class Distribution:
    """A distribution, as far as we look at it."""

    version = "1.0"

    def __init__(self, name):
        self.name = name


def entry(name, value, distribution="example-plugins"):
    made = EntryPoint(name, value, loading.GROUP)
    vars(made)["dist"] = Distribution(distribution)
    return made


@pytest.fixture
def entries(monkeypatch):
    """Entry points of our choice are installed."""
    made = []
    monkeypatch.setattr(loading, "entry_points", lambda group: made)
    return made


def test_installed():
    """The plugins of this repository are installed under their names."""
    found = PluginHost.installed()

    assert found["moderation"].value == "gateway_moderation:ModerationPlugin"
    assert found["routing"].value == "gateway_routing:RoutingPlugin"


def test_load_in_order(host):
    """The allow-list is the order; what is not on it is not loaded."""
    host.load(["routing", "moderation"], HERE)

    assert list(host.plugin_sections()) == ["routing", "moderation"]


def test_section_types(host):
    """Each plugin's own section type is told by its name."""
    host.load(["moderation"], HERE)

    assert host.plugin_sections()["moderation"].__name__ == "ModerationConfig"


def test_unknown_name(host, entries):
    """An unknown name is answered with what is installed."""
    entries += [entry("b", "b:B"), entry("a", "a:A")]

    with pytest.raises(PluginError, match="nope is not installed; installed: a, b"):
        host.load(["nope"], HERE)


def test_nothing_installed(host, entries):
    """Where nothing is installed, that is said."""
    with pytest.raises(PluginError, match="installed: none"):
        host.load(["nope"], HERE)


def test_import_fails(host, entries):
    """A failing import names plugin, distribution and cause."""
    entries.append(entry("fax", "a_module_that_is_nowhere:Fax", "fax-plugin"))

    with pytest.raises(PluginError) as caught:
        host.load(["fax"], HERE)

    assert "plugin fax of fax-plugin 1.0 can't be loaded" in str(caught.value)
    assert "ModuleNotFoundError: No module named" in str(caught.value)


def test_missing_attribute(host, entries):
    """An entry point to a class that is gone is a failing import too."""
    entries.append(entry("fax", "gateway.plugin:Nothing"))

    with pytest.raises(PluginError, match=r"fax of .* can't be loaded: Attribute"):
        host.load(["fax"], HERE)


def test_ambiguous_name(host, entries):
    """A name that two distributions offer names both."""
    entries += [entry("fax", "a:A", "one"), entry("fax", "b:B", "two")]

    with pytest.raises(PluginError, match=r"one 1.0, two 1.0; uninstall all but one"):
        host.load(["fax"], HERE)


def test_listed_twice(host):
    """A plugin on the allow-list twice is an error."""
    with pytest.raises(PluginError, match="routing is listed twice"):
        host.load(["routing", "routing"], HERE)


def test_one_file(host):
    """A file and a class are a plugin, named for the file."""
    host.load(["files/greeter.py:Greeter"], HERE)

    assert dict(host.plugin_sections()) == {"greeter": NoConfig}


def test_one_file_by_absolute_path(host, tmp_path):
    """An absolute path does as well."""
    host.load([f"{HERE}/files/greeter.py:Greeter"], tmp_path)

    assert "greeter" in host.plugin_sections()


def test_two_hosts_share_nothing(host):
    """Each host has its own plugins."""
    host.load(["files/greeter.py:Greeter"], HERE)

    assert PluginHost().plugin_sections() == {}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("files/none.py:Greeter", "none.py is not there"),
        ("files/greeter.py:Nobody", "has no class Nobody"),
        ("files/broken.py:Broken", "broken.py can't be loaded: ModuleNotFoundError"),
        ("files/greeter.py:Unmakeable", "can't be loaded: RuntimeError: no way"),
        (
            "files/greeter.py:NotAPlugin",
            "found NotAPlugin; wanted a subclass of gateway",
        ),
        ("files/greeter.py:NOT_A_CLASS", "found Greeting; wanted a subclass"),
    ],
)
def test_one_file_fails(host, name, complaint):
    """What is wrong with a file is said."""
    with pytest.raises(PluginError, match=complaint):
        host.load([name], HERE)


def test_register_no_plugin(host):
    """Only plugins can be registered."""
    with pytest.raises(PluginError, match="plugin x: found int; wanted a subclass"):
        host.register("x", 5)


def test_configuration_is_a_section(host):
    """A configuration that is no section would not be strict."""

    class Loose(BaseModel):
        pass

    class Careless(Plugin[Loose]):
        pass

    with pytest.raises(PluginError, match=r"its configuration is .*Loose; wanted"):
        host.register("careless", Careless())
