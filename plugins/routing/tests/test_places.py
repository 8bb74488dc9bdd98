"""Where a message is about: positions, streets as people write them, photos."""

import csv
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_routing import RoutingConfig, RoutingPlugin
from gateway_routing.config import PlacesSection
from gateway_routing.districts import Districts
from gateway_routing.photos import Photos
from gateway_routing.places import make_places
from gateway_routing.streets import Street, Streets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from gateway.config import Document, Kinds, load
from gateway.errors import AttachmentError, ConfigError, PluginError
from gateway.model import Address, Attachment, ChannelId, Location, Message, MessageId
from gateway.testing.kit import make_context

DATA = Path(__file__).parent / "data"
FILES = {"streets": DATA / "streets.csv", "districts": DATA / "districts.geojson"}
NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC)
MESSAGE = Message(
    id=MessageId("m1"),
    channel=ChannelId("urp"),
    external_id="wamid.1",
    sender=Address("whatsapp", "1"),
    sent_at=NOW,
    received_at=NOW,
)
ADDRESSES = list(
    csv.DictReader(
        (DATA / "addresses.tsv").read_text("utf-8").splitlines(),
        delimiter="\t",
        quoting=csv.QUOTE_NONE,
    )
)
STREETS = {
    line.partition(";")[0] for line in FILES["streets"].read_text("utf-8").splitlines()
}
PLACES = make_places(PlacesSection(**FILES))


def said(text, **fields):
    return replace(MESSAGE, text=text, **fields)


@pytest.mark.parametrize("row", ADDRESSES, ids=lambda row: row["text"])
def test_streets_in_texts(row):
    """As people write them; what could be two streets, or none, is none."""
    found = PLACES.mentioned(said(row["text"]))

    address = found.address if found else ""
    place = row["text"][found.start : found.end] if found else ""
    assert (row["address"].strip(), (row["said"] or "").strip()) == (address, place)


@given(st.text() | st.text("via roma.,12/b n°piazzdelcrmn \n").map("via {}".format))
def test_any_text(text):
    """Whatever is written, a street stands where it says."""
    found = PLACES.mentioned(said(text))
    if found is not None:
        assert 0 <= found.start < found.end <= len(text)
        assert found.street.name in STREETS


@pytest.mark.parametrize(
    "text",
    [
        "via " * 5000,
        "via a" * 4000,
        "via Roma" + " " * 20_000,
        "via xxxxxxxxxx " * 1000,
    ],
)
def test_time_is_bounded(text):
    """Nobody holds the others up by a text."""
    streets = Streets(Street(f"Via {n:x}abcde Lunghissima") for n in range(5000))
    started = time.thread_time()
    streets.find(text)

    assert time.thread_time() - started < 0.2


def test_house_before_street_and_map_before_list():
    """The house's own position; the district that the map says."""
    house = PLACES.located(said("via Roma 12"))
    street = PLACES.located(said("via Roma 99"))

    assert (39.2145, 9.1135, "Via Roma 12") == (
        house.latitude,
        house.longitude,
        house.address,
    )
    assert ("Centro", "text") == (house.district, house.source)
    assert (39.2140, "Via Roma 99") == (street.latitude, street.address)


def test_position_of_the_citizen_stays():
    """Address and district are added; where they stood is not changed."""
    sent = Location(latitude=39.24, longitude=9.13)
    found = PLACES.located(said("una buca in via Roma 12", location=sent))

    assert (39.24, 9.13, "") == (found.latitude, found.longitude, found.source)
    assert ("Via Roma 12", "Pirri") == (found.address, found.district)
    named = replace(sent, address="Via Altrove 1")
    again = PLACES.located(said("una buca in via Roma 12", location=named))
    assert "Via Altrove 1" == again.address


def test_street_without_a_position():
    """It makes no point, and still tells its district."""
    assert PLACES.located(said("in via senza posto 3")) is None
    assert "Mulinu Becciu" == PLACES.district_of(said("in via senza posto 3"))
    assert "" == PLACES.district_of(said("buongiorno"))


def test_outside_of_all_districts():
    """There is none; on a border, the first."""
    districts = Districts(FILES["districts"])

    assert "" == districts.at(0, 0)
    assert "Centro" == districts.at(39.21, 9.11)


def with_gps(path, gps):
    """Write a photo with such EXIF data."""
    exif = Image.Exif()
    exif.get_ifd(0x8825).update(gps)
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


ROME = {1: "N", 2: (39.0, 12.0, 52.2), 3: "E", 4: (9.0, 6.0, 48.6)}


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_position_of_a_photo(tmp_path, ending):
    """Degrees, minutes and seconds, on the side that is written."""
    north = with_gps(tmp_path / f"a.{ending}", ROME)
    south = with_gps(tmp_path / f"b.{ending}", ROME | {1: "S", 3: "W"})

    assert (39.2145, 9.1135) == Photos().position(north)
    assert (-39.2145, -9.1135) == Photos().position(south)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {1: "N", 2: (39.0, 12.0, 52.2)},
        ROME | {1: "?"},
        ROME | {2: (139.0, 0.0, 0.0)},
        ROME | {2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        ROME | {2: (39.0, 12.0)},
    ],
)
def test_photo_without_a_position(tmp_path, gps):
    """Nothing, half of it, or what can't be: none."""
    assert Photos().position(with_gps(tmp_path / "a.jpg", gps)) is None


@given(at=st.integers(0, 400), value=st.integers(0, 255))
def test_broken_photo(tmp_path_factory, at, value):
    """Whatever is wrong with it, nothing is raised."""
    path = with_gps(tmp_path_factory.getbasetemp() / "broken.jpg", ROME)
    octets = bytearray(path.read_bytes())
    octets[at % len(octets)] = value
    path.write_bytes(octets)

    found = Photos().position(path)
    assert found is None or (abs(found[0]) <= 90 and abs(found[1]) <= 180)


class PhotoFiles:
    """Files of which each is where its locator says."""

    async def fetch(self, message, attachment):
        if not attachment.locator:
            raise AttachmentError("gone", "x", retryable=False)
        return attachment

    def path(self, attachment):
        return Path(attachment.locator)


@pytest.fixture
def started():
    """Start the plugin with such places; return what enriches."""

    async def started(rules=(), **places):
        config = RoutingConfig(rules=rules, places={**FILES, **places})
        context = make_context(None, config=config, files=PhotoFiles())
        plugin = RoutingPlugin()
        await plugin.startup(context)
        return plugin, context

    return started


def feature(kind, coordinates):
    """Return a GeoJSON file with one feature."""
    geometry = {"type": kind, "coordinates": coordinates}
    one = {"properties": {"name": "x"}, "geometry": geometry}
    return json.dumps({"features": [one]})


def photo(path):
    return Attachment(media_type="image/jpeg", locator=str(path) if path else "")


async def test_photo_is_read_only_if_the_city_wants_it(started, tmp_path):
    """It is personal data; what is written goes before what the camera noted."""
    taken = with_gps(tmp_path / "a.jpg", ROME)
    message = said("", attachments=(photo(None), photo(taken)))
    plugin, context = await started()
    assert await plugin.enrich_message(context, message) is None

    plugin, context = await started(exif=True)
    found = (await plugin.enrich_message(context, message)).location
    assert (39.2145, "Centro", "photo") == (
        found.latitude,
        found.district,
        found.source,
    )
    told = replace(message, text="via Castiglione")
    assert "text" == (await plugin.enrich_message(context, told)).location.source


async def test_rules_ask_for_places(started):
    """By district and by street, whatever the case; all conditions must hold."""
    plugin, _ = await started(
        rules=[
            {"service": "pirri", "districts": ["PIRRI"], "words": ["buca"]},
            {"service": "roma", "streets": ["via roma"]},
        ]
    )
    texts = ["una buca in via A. Gramsci", "via A. Gramsci", "in v. Roma 3"]
    found = [await plugin.route_message(said(text)) for text in texts]

    assert ["pirri", None, "roma"] == [each and each.service for each in found]
    assert "parole: buca; zona: Pirri" == found[0].reason
    sent = Location(latitude=39.24, longitude=9.13)
    there = await plugin.route_message(said("buca", location=sent))
    assert "pirri" == there.service


def test_rules_need_places():
    """What nothing could find is told at start."""
    with pytest.raises(ValidationError, match="places. with streets or districts"):
        RoutingConfig(rules=[{"service": "a", "districts": ["Centro"]}])


SQUARE = [[9.0, 39.0], [9.4, 39.0], [9.4, 39.4], [9.0, 39.4], [9.0, 39.0]]
HOLE = [[9.1, 39.1], [9.3, 39.1], [9.3, 39.3], [9.1, 39.3], [9.1, 39.1]]
FAR = [[10, 40], [11, 40], [11, 41], [10, 41], [10, 40]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE, HOLE]}
BOTH = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [FAR]]}


def as_feature(geometry):
    return {"type": "Feature", "properties": None, "geometry": geometry}


@pytest.mark.parametrize(
    ("document", "far"),
    [
        (POLYGON, False),
        (BOTH, True),
        (as_feature(BOTH), True),
        (
            {
                "type": "FeatureCollection",
                "features": [
                    as_feature(POLYGON),
                    as_feature({"type": "Polygon", "coordinates": [FAR]}),
                ],
            },
            True,
        ),
    ],
    ids=["Polygon", "MultiPolygon", "Feature", "FeatureCollection"],
)
async def test_rules_draw_areas(started, tmp_path, document, far):
    """In any form of GeoJSON; what lies in a hole lies outside."""
    file = tmp_path / "mercato.geojson"
    file.write_text(json.dumps(document))
    plugin, _ = await started(rules=[{"service": "mercato", "areas": [file]}])

    async def service(latitude, longitude):
        place = Location(latitude=latitude, longitude=longitude)
        found = await plugin.route_message(said("", location=place))
        return found and found.service

    assert "mercato" == await service(39.05, 9.05)
    assert await service(39.2, 9.2) is None
    assert await service(38, 9) is None
    assert (await service(40.5, 10.5) == "mercato") == far


async def test_areas_with_other_conditions(started, tmp_path):
    """One of several areas will do, all conditions must hold; it is on the record."""
    near, other = tmp_path / "mercato.geojson", tmp_path / "porto.geojson"
    near.write_text(json.dumps({"type": "Polygon", "coordinates": [SQUARE]}))
    other.write_text(json.dumps({"type": "Polygon", "coordinates": [FAR]}))
    rule = {"service": "vigili", "areas": [other, near], "words": ["banco"]}
    plugin, _ = await started(rules=[rule])

    found = await plugin.route_message(said("un banco in via Roma 12"))
    assert "parole: banco; area: mercato" == found.reason
    assert ("area: mercato",) == found.grounds.conditions
    assert await plugin.route_message(said("un banco")) is None
    assert await plugin.route_message(said("via Roma 12")) is None


def test_areas_are_relative_to_the_configuration(tmp_path):
    """A file that is not there is a mistake, with the rule's place."""
    (tmp_path / "mercato.geojson").write_text(json.dumps(POLYGON))
    source = (DATA / "areas.toml").read_bytes()
    kinds = Kinds(channels={}, connectors={}, plugins={"routing": RoutingConfig})
    with pytest.raises(ConfigError) as caught:
        load(Document.parse(tmp_path / "gateway.toml", source), kinds)

    [problem] = [p for p in caught.value.problems if "rules" in p.key]
    assert (9, "plugins.routing.rules[1].areas[0]") == (problem.line, problem.key)


async def test_wrong_area_names_the_rule(started, tmp_path):
    """Key, file, feature, what was found, what is wanted."""
    file = tmp_path / "punto.geojson"
    file.write_text(feature("Point", [9, 39]))

    rules = [{"service": "a", "words": ["x"]}, {"service": "b", "areas": [file]}]
    with pytest.raises(
        PluginError, match=r"rules\[1\].areas: .*features\[0\]: found Poi"
    ):
        await started(rules=rules)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("streets", "via\nVia Roma\n", ":1: found columns via; wanted street"),
        (
            "streets",
            "street,latitude,longitude\nVia Roma,1511000,4340000\n",
            ":2: found position 1511000 4340000; wanted degrees",
        ),
        (
            "streets",
            "street,latitude,longitude\nVia Roma,a,b\n",
            ":2: found position a b",
        ),
        ("districts", "[]", "found a list; wanted a GeoJSON file"),
        ("districts", "{", "wanted a GeoJSON file"),
        ("districts", '{"features": []}', "found type None without features; wanted"),
        (
            "districts",
            '{"features": [{"properties": {"name": "x"}, "geometry": null}]}',
            r"features\[0\]: found no geometry; wanted one of Polygon",
        ),
        ("districts", '{"features": [{}]}', r"features\[0\]: no 'properties'"),
        ("districts", feature("Polygon", []), "found an empty Polygon"),
        ("districts", feature("Polygon", [[[9, 39], [9, 40]]]), r"features\[0\]: "),
        ("districts", '{"type": "Polygon"}', "no 'coordinates'"),
        (
            "districts",
            feature("Polygon", [SQUARE]).replace("name", "nome"),
            r"features\[0\]: found properties nome; wanted a text 'name'",
        ),
        (
            "districts",
            feature("Point", [1, 2]),
            "found Point; wanted one of Polygon",
        ),
        (
            "districts",
            feature("Polygon", [[[1511000, 0], [1, 1], [0, 1], [1511000, 0]]]),
            "wanted WGS 84 degrees",
        ),
    ],
)
def test_wrong_files(tmp_path, name, content, complaint):
    """File, place, what was found, what is wanted."""
    file = tmp_path / "x"
    file.write_text(content)

    with pytest.raises(PluginError, match=complaint) as caught:
        make_places(PlacesSection(**{name: file}))
    assert str(file) in str(caught.value)
