"""A model trained on the synthetic reports, once for all tests here."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gateway_routing.samples import read_csv
from gateway_routing.training import train

DATA = Path(__file__).parent / "data"

sys.path.append(str(Path(__file__).parent))  # for `nominatim_server`


@pytest.fixture(scope="session")
def services():
    """The services of the synthetic city."""
    lines = (DATA / "citizens-training.tsv").read_text("utf-8").splitlines()[1:]
    return sorted({line.partition("\t")[0] for line in lines})


@pytest.fixture(scope="session")
def heldout(services):
    """Reports that no model here has seen."""
    return read_csv(DATA / "citizens-heldout.tsv", services)


@pytest.fixture(scope="session")
def trained(services):
    """The model with its cross-validation."""
    samples = read_csv(DATA / "citizens-training.tsv", services)
    return train(samples, datetime(2026, 11, 26, tzinfo=UTC))


@pytest.fixture(scope="session")
def model_file(trained, tmp_path_factory):
    """The model as a file."""
    path = tmp_path_factory.mktemp("model") / "routing.npz"
    trained.model.save(path)
    return path
