"""Is the set-up right? Asked of the servers, before the first mail; nothing is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import ceil

from gateway.errors import DeliveryError
from gateway.model import Health, HealthStatus
from gateway_email import smtp
from gateway_email.config import EmailChannelConfig, EmailSettings
from gateway_email.folder_names import folded
from gateway_email.imap import MailboxError, open_mailbox
from gateway_email.oauth2 import Tokens

_IN_BASE64 = 4 / 3 * 78 / 76
"""How files grow in a mail: four characters for three octets, 76 on a line."""

_ORDER = (HealthStatus.OK, HealthStatus.DEGRADED, HealthStatus.DOWN)
OK = Health(status=HealthStatus.OK)


def worst(found: Iterable[Health]) -> Health:
    """Return the worst status, with what all of them say."""
    told = list(found)
    return Health(
        status=max((each.status for each in told), key=_ORDER.index),
        text="; ".join(each.text for each in told if each.text),
    )


async def check_mailbox(config: EmailChannelConfig, tokens: Tokens | None) -> Health:
    """Log in, and look whether every configured folder is there."""
    try:
        async with open_mailbox(config, "", tokens=tokens) as mailbox:
            there = await mailbox.folders()
    except MailboxError as error:
        return Health(status=HealthStatus.DOWN, text=str(error))
    known = {folded(name) for name in there}
    absent = [name for name in config.folders if folded(name) not in known]
    if not absent:
        return OK
    names = ", ".join(there) or "none"
    text = f"no folder {', '.join(absent)} on the server; there are: {names}"
    return Health(status=HealthStatus.DOWN, text=text)


async def check_submission(settings: EmailSettings, tokens: Tokens | None) -> Health:
    """Log in where mail is handed in, and compare sizes; send nothing."""
    try:
        largest = await smtp.probe(settings, tokens)
    except DeliveryError as error:
        return Health(status=HealthStatus.DOWN, text=str(error))
    needed = ceil(settings.max_bytes * _IN_BASE64)
    if largest is None or largest >= needed:
        return OK
    text = (
        f"{settings.host} takes mail of up to {largest} bytes, files of max_bytes ="
        f" {settings.max_bytes} make {needed}: set max_bytes to"
        f" {int(largest / _IN_BASE64)} at most"
    )
    return Health(status=HealthStatus.DEGRADED, text=text)


def check_reply_to(settings: EmailSettings, accounts: Collection[str]) -> Health:
    """Look whether a mailbox that is read seems to be that of ``reply_to``."""
    address = settings.reply_to.casefold()
    local = address.partition("@")[0]
    if {each.casefold() for each in accounts} & {address, local}:
        return OK
    read = f"only {', '.join(sorted(accounts))}" if accounts else "none"
    text = (
        f"answers come to {settings.reply_to} (reply_to), but of mailboxes {read} is"
        " read: make sure that its mail is delivered there"
    )
    return Health(status=HealthStatus.DEGRADED, text=text)
