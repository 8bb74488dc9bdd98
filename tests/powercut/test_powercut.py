"""The power goes at any moment: what was acknowledged is there, and nothing is half."""

from __future__ import annotations

import trial

TRIALS = 1_500
CONTROLS = 300


async def test_power_cut_loses_nothing_that_was_acknowledged():
    """Unsynced writes are dropped at random: no acknowledged row lost, none corrupt."""
    outcomes = await trial.run(range(TRIALS))

    assert [] == [o for o in outcomes if o.lost or o.damage]
    # The trials must have had something to lose, at many different moments.
    assert sum(len(o.acknowledged) for o in outcomes) > 10 * TRIALS
    assert len({o.operations for o in outcomes}) > TRIALS / 10


async def test_the_same_without_syncing_each_commit_loses():
    """The control: with ``synchronous=NORMAL`` the same trials find losses."""
    outcomes = await trial.run(range(CONTROLS), "NORMAL")

    assert sum(bool(o.lost) for o in outcomes) > 0


async def test_seed_replays_exactly():
    """A seed that fails can be looked at alone."""
    (alone,) = await trial.run(range(7, 8))
    together = await trial.run(range(5, 9))

    assert alone == together[2]
