"""Mails by their numbers, in as few octets as can be (RFC 3501 §9, sequence-set)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def sequence_set(numbers: Sequence[int]) -> str:
    """Return ascending ``numbers`` with their runs as ranges: ``1:3,7``."""
    return ",".join(
        str(first) if first == last else f"{first}:{last}"
        for first, last in _runs(numbers)
    )


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = numbers[0]
    for number in numbers[1:]:
        if number != last + 1:
            yield first, last
            first = number
        last = number
    yield first, last
