"""A simulated Cloud API, to try the channel with: strict, on a port of this machine.

It refuses what Meta refuses, in Meta's shape; sends correctly signed webhooks made of
real payloads; fails as scripted; and keeps a ledger of all that reached it.
"""

from __future__ import annotations

from gateway_whatsapp.simulator.account import Approval
from gateway_whatsapp.simulator.faults import Fault, Faults, Statuses
from gateway_whatsapp.simulator.ledger import Attempt, ReadMark, SentMessage
from gateway_whatsapp.simulator.limits import PairLimit
from gateway_whatsapp.simulator.simulator import CloudApiSimulator

__all__ = [
    "Approval",
    "Attempt",
    "CloudApiSimulator",
    "Fault",
    "Faults",
    "PairLimit",
    "ReadMark",
    "SentMessage",
    "Statuses",
]
