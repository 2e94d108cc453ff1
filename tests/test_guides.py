"""What the guides are made of while they build: the model zoo and the figures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from facemask_inpaint import models
from tests.extensions import load_extension

DOCS = Path(__file__).parents[1] / "docs"


def test_the_zoo_has_a_row_for_every_card() -> None:
    page = load_extension("zoo").zoo(DOCS / "models")
    for card in models.list_cards():
        (row,) = re.findall(rf"^\| `{card.name}`.*$", page, re.MULTILINE)
        assert card.availability in row
        assert f"| {card.resolution or 'any'} |" in row
    assert page.count("\n## ") == len({card.architecture for card in models.list_cards()})


def test_the_zoo_reads_sizes_off_the_sources() -> None:
    page = load_extension("zoo").zoo(DOCS / "models")
    (row,) = re.findall(r"^\| `lama-places-256-big`.*$", page, re.MULTILINE)
    assert "| 410 MB |" in row
    assert "](https://huggingface.co/" in row


def test_the_zoo_tells_how_every_published_form_is_tested() -> None:
    zoo = load_extension("zoo")
    for card in models.list_cards():
        published = card.weights_published and not card.ships
        assert (zoo.replicas(card) != "\u2013") == published, card.name
    assert "omegaconf" in zoo.replicas(models.card("lama-celebahq-256"))


def test_every_network_with_official_code_states_its_parity() -> None:
    zoo = load_extension("zoo")
    published = {card.architecture for card in models.list_cards() if card.repository}
    assert len(published) > 10
    for name in published:
        text = (DOCS / "models" / f"{name}.md").read_text(encoding="utf-8")
        assert re.search(r"\de-\d|no difference", zoo.fact(text, "parity")), name


def test_facts_keep_the_heads_of_their_columns() -> None:
    zoo = load_extension("zoo")
    text = "# Net\n\n| | one | two |\n| --- | --- | --- |\n| parity | 1e-6 | 2e-6 |\n"
    assert zoo.title(text) == "Net"
    assert zoo.fact(text, "parity") == "one: 1e-6; two: 2e-6"
    assert zoo.fact(text, "licence") == ""


def test_every_figure_that_is_shown_is_drawn_and_the_other_way_round() -> None:
    pages = [path.read_text(encoding="utf-8") for path in DOCS.glob("**/*.md")]
    shown = {name for page in pages for name in re.findall(r"_generated/(\w+)\.jpg", page)}
    assert shown == set(load_extension("figures").FIGURES)


@pytest.mark.parametrize("name", ["tour", "mask_classes", "dilation_and_feathering"])
def test_figures_show_holes(name: str) -> None:
    pixels = np.asarray(load_extension("figures").FIGURES[name]())
    pink = (abs(pixels.astype(int) - (230, 60, 140)).sum(axis=-1) < 10).mean()
    assert 0.002 < pink < 0.5


def test_the_table_for_choosing_has_every_model_of_faces() -> None:
    performance = (DOCS / "performance.md").read_text(encoding="utf-8")
    table = load_extension("zoo").choosing(DOCS / "models", performance)
    for card in models.list_cards():
        listed = f"[`{card.name}`]" in table
        assert listed == (
            (card.weights_published and card.framing != "none") or not card.needs_weights
        )
    (row,) = re.findall(r"^\| \[`lama-celebahq-256`\].*$", table, re.MULTILINE)
    (seconds,) = re.findall(
        r"^\| `lama` \| 256 \| ([\d.]+) \| [\d,]+ \|$", performance, re.MULTILINE
    )
    assert f"| 256 | CelebA\u2011HQ | no | not settled | download | {seconds} |" in row


def test_measured_times_are_read_from_the_column_that_is_asked_for() -> None:
    page = (
        "| network | resolution | seconds | MiB |\n| --- | --- | --- | --- |\n"
        "| `lama` | 256 | 0.5 | 217 |\n\n"
        "| network | steps |\n| --- | --- |\n| `ldm` | 7 minutes |\n"
    )
    measured = load_extension("zoo").measured
    assert measured(page, "MiB", "lama", 256) == "217"
    assert measured(page, "MiB", "lama", 512) == ""
    assert measured(page, "steps", "ldm", 256) == "7 minutes"


def test_every_page_of_a_network_says_what_it_draws() -> None:
    zoo = load_extension("zoo")
    pages = sorted((DOCS / "models").glob("*.md"))
    assert len(pages) > 10
    for page in pages:
        assert zoo.fact(page.read_text(encoding="utf-8"), "random draws"), page.name


def test_a_network_without_a_page_is_listed_by_its_name(tmp_path: Path) -> None:
    zoo = load_extension("zoo")
    assert "## lama\n" in zoo.zoo(tmp_path)
    assert "](models/" not in zoo.zoo(tmp_path) + zoo.choosing(tmp_path, "")
