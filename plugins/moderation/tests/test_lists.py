"""Word lists: what a line means, what comes with the plugin, what can't be read."""

import pytest
from gateway_moderation import lists

from gateway.errors import PluginError


def test_parse_list():
    """Comments, blank lines and white space around are left out."""
    text = "# parole\n\nscemo\n  testa di rapa # modo di dire\n#\n"

    assert lists.parse_list(text) == ("scemo", "testa di rapa")


def test_builtin_is_less_what_is_dropped():
    """Each dropped word is one of the original's, has its reason, and is not used."""
    dropped = lists.builtin_dropped()
    used = lists.builtin()
    original = set(
        lists.parse_list((lists._DATA / "ldnoobw_it.txt").read_text("utf-8"))
    )

    assert set(used) | set(dropped) == original
    assert not set(used) & set(dropped)
    assert all(dropped.values())


def test_read_lists_in_order(tmp_path):
    """Files are read one after the other, with or without a byte order mark."""
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_bytes(b"\xef\xbb\xbfscemo\r\n")
    second.write_text("perché\n", "utf-8")

    assert lists.read_lists([first, second]) == ("scemo", "perché")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"perch\xe9", r"a\.txt is not UTF-8: save it as UTF-8"),
        (None, r"a\.txt: No such file or directory"),
    ],
)
def test_unreadable_list(tmp_path, content, complaint):
    """A list that can't be read is named."""
    file = tmp_path / "a.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(PluginError, match=complaint):
        lists.read_lists([file])
