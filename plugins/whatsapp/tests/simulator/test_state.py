"""What the simulator remembers: rates, who is blocked, several numbers, the account."""

from __future__ import annotations

import pytest
from gateway_whatsapp.simulator import Approval, Fault, PairLimit
from gateway_whatsapp.simulator.payloads import value_of
from gateway_whatsapp.simulator.simulator import WITHHELD

NUMBER, OTHER, ACCOUNT = "1122334455667", "1122334455668", "102290129340398"
TO, SECOND = "393290000000", "393290000001"


def text(to: str = TO) -> dict:
    return {"messaging_product": "whatsapp", "to": to, "text": {"body": "Grazie"}}


def users(*people: str) -> dict:
    listed = [{"user": person} for person in people]
    return {"messaging_product": "whatsapp", "block_users": listed}


@pytest.fixture
def block(ask):
    """Block or unblock people."""

    async def change(method: str, body, number: str = NUMBER):
        return await ask(method, f"{number}/block_users", json=body)

    return change


async def test_nothing_is_limited_unless_asked(sent_code):
    """By default a test may send as fast as it likes."""
    assert {200} == {await sent_code(text()) for _ in range(100)}


@pytest.mark.parametrize("settings", [{"messages_per_second": 2}])
async def test_number_has_its_throughput(sent_code, sim, clock):
    """So many a second, whoever they go to; each number has its own."""
    sim.add_number(OTHER)
    at_once = [await sent_code(text(TO + str(n))) for n in range(3)]
    elsewhere = await sent_code(text(), OTHER)
    clock.advance(0.5)
    later = [await sent_code(text()) for _ in range(2)]

    assert [200, 200, 130429] == at_once
    assert 200 == elsewhere
    assert [200, 130429] == later


@pytest.mark.parametrize("settings", [{"pair_limit": PairLimit(burst=3)}])
async def test_pair_has_its_limit(sent_code, clock):
    """A burst is borrowed from the future; what is refused costs nothing."""
    at_once = [await sent_code(text()) for _ in range(5)]
    other = await sent_code(text(SECOND))
    clock.advance(6)
    later = [await sent_code(text()) for _ in range(2)]

    assert [200, 200, 200, 131056, 131056] == at_once
    assert 200 == other
    assert [200, 131056] == later


async def test_citizen_is_blocked_and_unblocked(sim, hook, block, ask, sent_code):
    """Nothing of theirs comes, nothing to them goes, under neither of their ids."""
    await sim.webhook(sim.text(TO, "Buongiorno"))
    told = await block("POST", users(f"+{TO}"))
    withheld = await sim.webhook(sim.text(TO, "Ancora"))
    attempts = await sim.deliver(sim.text(f"IT.{TO}", "E ancora"))
    listed = await ask("GET", f"{NUMBER}/block_users")

    added = [{"input": f"+{TO}", "wa_id": TO}]
    answer = {"messaging_product": "whatsapp", "block_users": {"added_users": added}}
    assert (200, answer) == told
    assert (WITHHELD, 0, 2) == (withheld, attempts, len(sim.withheld))
    assert (1, [TO]) == (len(hook.got), sim.blocked)
    assert [{"messaging_product": "whatsapp", "wa_id": TO}] == listed[1]["data"]
    recipient = {**text(), "to": None, "recipient": f"IT.{TO}"}
    assert [131026, 131026] == [await sent_code(b) for b in (text(), recipient)]

    _, told = await block("DELETE", users(TO))
    await sim.webhook(sim.text(TO, "Eccomi"))
    assert [{"input": TO, "wa_id": TO}] == told["block_users"]["removed_users"]
    assert (2, []) == (len(hook.got), sim.blocked)


async def test_others_in_the_same_body_are_heard(sim, hook, block):
    """Of a body, only what the blocked wrote is left out."""
    await sim.webhook(sim.text(TO, "Buongiorno"))
    await block("POST", users(TO))
    both = sim.batch([sim.text(TO, "Io"), sim.text(SECOND, "Noi")])
    await sim.webhook(both)

    said = [
        message["text"]["body"]
        for change in hook.got[-1]["entry"][0]["changes"]
        for message in change["value"]["messages"]
    ]
    assert (["Noi"], [both]) == (said, sim.withheld)


async def test_block_by_user_id(sim, hook, block):
    """Of people without a number there is only that."""
    await sim.webhook(sim.text("IT.abc", "Buongiorno"))
    body = {"messaging_product": "whatsapp", "block_users": [{"user_id": "IT.abc"}]}
    _, told = await block("POST", body)

    added = [{"input": "IT.abc", "user_id": "IT.abc"}]
    assert (added, ["IT.abc"]) == (told["block_users"]["added_users"], sim.blocked)


async def test_only_who_wrote_lately_can_be_blocked(sim, hook, block, clock):
    """Of several, the others are blocked all the same."""
    await sim.webhook(sim.text(SECOND, "Ieri"))
    clock.advance(24 * 3600)
    await sim.webhook(sim.text(TO, "Oggi"))
    status, told = await block("POST", users(TO, SECOND))

    [failed] = told["block_users"]["failed_users"]
    assert (400, 139100) == (status, told["error"]["code"])
    assert [{"input": TO, "wa_id": TO}] == told["block_users"]["added_users"]
    assert (SECOND, 131047) == (failed["wa_id"], failed["errors"][0]["code"])
    assert [TO] == sim.blocked


async def test_block_list_is_full(sim, hook, block):
    """Meta takes 64,000; a test need not fill them."""
    sim.blocks.most = 1
    for person in (TO, SECOND):
        await sim.webhook(sim.text(person, "Buongiorno"))
    await block("POST", users(TO))
    status, told = await block("POST", users(SECOND))

    assert (400, 139101, [TO]) == (status, told["error"]["code"], sim.blocked)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"messaging_product": "whatsapp"}, 131008),
        ({"messaging_product": "whatsapp", "block_users": []}, 131009),
        ({"messaging_product": "whatsapp", "block_users": [{}]}, 131008),
        ({**users(TO), "colour": "red"}, 100),
    ],
)
async def test_wrong_block_is_refused(block, body, code):
    """As any other wrong request."""
    _, told = await block("POST", body)

    assert code == told["error"]["code"]


async def test_blocks_fail_on_command(sim, hook, block):
    """Before the change, or after it."""
    await sim.webhook(sim.text(TO, "Buongiorno"))
    sim.faults.block.extend([Fault.error(139102), Fault.error(139103)])
    codes = [(await block("POST", users(TO)))[1]["error"]["code"] for _ in range(2)]

    assert ([139102, 139103], []) == (codes, sim.blocked)


async def test_block_list_comes_in_pages(sim, hook, block, ask):
    """With cursors, as every list of the Graph API."""
    for person in (TO, SECOND):
        await sim.webhook(sim.text(person, "Buongiorno"))
    await block("POST", users(TO, SECOND))
    path, seen, after = f"{NUMBER}/block_users?limit=1", [], "0"
    while True:
        _, told = await ask("GET", f"{path}&after={after}")
        if not told["data"]:
            break
        seen += [each["wa_id"] for each in told["data"]]
        after = told["paging"]["cursors"]["after"]

    assert [TO, SECOND] == seen
    assert 100 == (await ask("GET", f"{path}&after=x"))[1]["error"]["code"]


async def test_numbers_of_one_app(sim, hook, sent_code):
    """Messages come for each of them, and statuses from it."""
    sim.add_number(OTHER)
    await sim.webhook(sim.text(TO, "Buongiorno", phone_number_id=OTHER))
    assert 200 == await sent_code(text(), OTHER)
    await sim.settled()

    numbers = [value_of(each)["metadata"]["phone_number_id"] for each in hook.got]
    assert ([OTHER] * 3, OTHER) == (numbers, sim.sent[0].phone_number_id)


async def test_number_shows_the_fields_asked_for(ask, sim):
    """The id always, the webhook as it is registered, and nothing that is not there."""
    sim.webhook_url = "https://comune.test/hook"
    sim.number["quality_rating"] = "RED"
    fields = "quality_rating,status,throughput,webhook_configuration"
    _, told = await ask("GET", f"{NUMBER}?fields={fields}")
    _, usual = await ask("GET", NUMBER)
    _, refused = await ask("GET", f"{NUMBER}?fields=colour")

    assert {
        "id": NUMBER,
        "quality_rating": "RED",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "webhook_configuration": {"application": "https://comune.test/hook"},
    } == told
    assert "verified_name" in usual
    assert 100 == refused["error"]["code"]


async def test_account_shows_who_is_subscribed(ask, sim):
    """One app, unless a test takes it away; of another account nothing."""
    _, told = await ask("GET", f"{ACCOUNT}/subscribed_apps")
    sim.account.subscribed_apps.clear()
    _, empty = await ask("GET", f"{ACCOUNT}/subscribed_apps")
    _, wrong = await ask("GET", "999/subscribed_apps")

    [app] = told["data"]
    assert {"id", "name", "link"} == set(app["whatsapp_business_api_data"])
    assert {"data": []} == empty
    assert (100, 33) == (wrong["error"]["code"], wrong["error"]["error_subcode"])


TEMPLATES = {
    ("risposta", "it"): Approval(parameters=1, text="Comune: {{1}}"),
    ("avviso", "it"): 2,
    ("vecchio", "it"): Approval(parameters=0, status="PAUSED"),
    ("nuovo", "it"): Approval(parameters=0, status="PENDING"),
}


@pytest.mark.parametrize("settings", [{"templates": TEMPLATES}])
async def test_account_shows_its_templates(ask):
    """By name, with the fields asked for, page by page."""
    path = f"{ACCOUNT}/message_templates"
    _, one = await ask("GET", f"{path}?name=risposta&fields=name,status,components")
    _, page = await ask("GET", f"{path}?limit=3")
    _, rest = await ask("GET", f"{path}?after={page['paging']['cursors']['after']}")

    [shown] = one["data"]
    components = [{"type": "BODY", "text": "Comune: {{1}}"}]
    assert ("risposta", "APPROVED", components) == (
        shown["name"],
        shown["status"],
        shown["components"],
    )
    assert {"name", "status", "components", "id"} == set(shown)
    assert "{{1}} {{2}}" in page["data"][1]["components"][0]["text"]
    assert ["PAUSED", "PENDING"] == [e["status"] for e in page["data"] + rest["data"]][
        2:
    ]


@pytest.mark.parametrize("settings", [{"templates": TEMPLATES}])
@pytest.mark.parametrize(("name", "code"), [("vecchio", 132015), ("nuovo", 132001)])
async def test_template_must_be_approved(sent_code, name, code):
    """A paused one is told from one that is not approved yet."""
    said = {"name": name, "language": {"code": "it"}}

    assert code == await sent_code(
        {
            "messaging_product": "whatsapp",
            "to": TO,
            "type": "template",
            "template": said,
        }
    )


async def test_answers_tell_their_version(http, sim):
    """Which may be another than was asked for, once that has expired."""
    versions = []
    for version in ("v25.0", "v27.0"):
        sim.served_version = version
        async with http.get(f"{sim.base_url}/{NUMBER}") as response:
            versions.append(response.headers["facebook-api-version"])

    assert ["v25.0", "v27.0"] == versions


async def test_account_fails_on_command(ask, sim):
    """What a check asks for may fail, too."""
    sim.faults.account.append(Fault.error(2, status=503))
    status, told = await ask("GET", f"{ACCOUNT}/message_templates")

    assert (503, 2) == (status, told["error"]["code"])
