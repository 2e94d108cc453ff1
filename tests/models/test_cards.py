"""Cards: well-formed, unambiguous, honest about what is missing, and light to import."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
import subprocess
import sys
from collections import Counter

import pytest

from facemask_inpaint._internal.files import sha256_of
from facemask_inpaint.checkpoints.fetching import PACKAGE
from facemask_inpaint.checkpoints.sources import Source
from facemask_inpaint.errors import UnknownNameError
from facemask_inpaint.models import Card, _model_card, _registry, card, list_cards, list_pretrained

CARDS = list_cards()
LEARNED = [one for one in CARDS if one.needs_weights]
FORMS = [(one.name, form) for one in CARDS for file in one.files for form in file.forms]
SOURCES = [(name, source) for name, form in FORMS for source in form.sources]
UNPUBLISHED = {"tformer-celebahq-256", "latentpaint-celebahq-256"}

each_card = pytest.mark.parametrize("one", CARDS, ids=lambda one: one.name)
each_source = pytest.mark.parametrize(
    "source", [source for _, source in SOURCES], ids=[f"{n}:{s.filename}" for n, s in SOURCES]
)


@pytest.mark.parametrize("one", LEARNED, ids=lambda one: one.name)
def test_name_says_network_data_and_resolution(one: Card) -> None:
    stem = f"{one.architecture}-{one.data}-{one.resolution}"
    assert re.fullmatch(rf"{stem}(-[a-z0-9]+)?", one.name)


@each_card
def test_card_is_complete(one: Card) -> None:
    assert one.data in _model_card.DATA_SETS
    assert one.training_split in _model_card.TRAINING_SPLITS
    assert one.licence
    assert one.paper
    assert one.note.endswith(".")
    assert one.arxiv is None or re.fullmatch(r"\d{4}\.\d{5}", one.arxiv)
    assert one.repository is None or one.repository.startswith("https://github.com/")


@each_card
def test_celebahq_leakage_is_recorded_exactly_where_faces_of_it_were_used(one: Card) -> None:
    assert (one.training_split != "none") == (one.data in {"celeba", "celebahq"})


@each_card
def test_framing_is_that_of_the_faces_that_were_trained_on(one: Card) -> None:
    assert one.framing in {"celebahq", "ffhq", "none"}
    assert (one.framing == "ffhq") == (one.data == "ffhq")
    assert (one.framing == "none") == (one.data in {"none", "places", "psv", "scenes14m"})


@each_card
def test_one_file_per_role_and_all_forms_share_it(one: Card) -> None:
    roles = [file.role for file in one.files]
    assert len(set(roles)) == len(roles)
    assert all(form.role == file.role for file in one.files for form in file.forms)


@pytest.mark.parametrize("form", [form for _, form in FORMS], ids=[name for name, _ in FORMS])
def test_form_has_sources_and_where_needed_a_section(form: _model_card.WeightFile) -> None:
    sections = {
        "lightning": "state_dict",
        "stylegan2-ada": "G_ema",
        "stylegan-tf": "Gs",
        "safetensors": "",
        "torchscript": "",
    }
    assert form.sources
    assert form.section == sections.get(form.container, form.section)


@each_source
def test_source_says_where_and_pins_with_whole_hashes(source: Source) -> None:
    if source.kind == "hf":
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", source.location)
    elif source.kind == "package":
        path = PACKAGE / source.location / source.filename
        assert (sha256_of(path), path.stat().st_size) == (source.sha256, source.size)
    else:
        assert re.fullmatch(r"https://[\w.-]+/\S+", source.location)
    assert re.fullmatch(r"[\w.-]+(/[\w.-]+)*", source.filename)
    assert source.revision is None or re.fullmatch(r"[0-9a-f]{40}", source.revision)
    assert source.sha256 is None or re.fullmatch(r"[0-9a-f]{64}", source.sha256)
    assert source.md5 is None or re.fullmatch(r"[0-9a-f]{32}", source.md5)
    assert source.size is None or source.size > 1_000_000


def test_no_two_different_files_claim_the_same_place() -> None:
    places: dict[tuple[str, str], set[Source]] = {}
    for _, source in SOURCES:
        places.setdefault((source.location, source.filename), set()).add(source)
    assert all(len(sources) == 1 for sources in places.values())


def test_files_to_fetch_by_hand_never_share_a_name() -> None:
    owners: dict[str, set[str]] = {}
    for name, source in SOURCES:
        if source.kind == "manual":
            owners.setdefault(source.filename, set()).add(name)
    assert {name: who for name, who in owners.items() if len(who) > 1} == {}


def test_names_and_aliases_are_unique_and_hide_no_architecture() -> None:
    names = Counter(name for one in CARDS for name in (one.name, *one.aliases))
    assert names.most_common(1)[0][1] == 1
    for architecture in {one.architecture for one in CARDS}:
        assert card(architecture).architecture == architecture
        assert card(architecture).default


def test_every_architecture_has_one_default_card() -> None:
    defaults = Counter(one.architecture for one in CARDS if one.default)
    assert set(defaults) >= set(_registry.ARCHITECTURES)
    assert set(defaults) == {one.architecture for one in CARDS}
    assert set(defaults.values()) == {1}


def test_default_prefers_faces_wherever_a_network_trained_to_inpaint_them_exists() -> None:
    faces = {"celeba", "celebahq", "ffhq", "portraits", "none"}
    assert [one.name for one in CARDS if one.default and one.data not in faces] == [
        "ldm-places-512"
    ]


def test_card_finds_names_aliases_and_architectures() -> None:
    assert card("mat-ffhq-512").resolution == 512
    assert card("big-lama") is card("lama-places-256-big")
    assert card("mat") is card("mat-celebahq-512")


def test_unknown_name_is_refused_with_the_near_one() -> None:
    with pytest.raises(
        UnknownNameError, match=r"'mat-celeba-512': did you mean .*mat-celebahq-512"
    ):
        card("mat-celeba-512")


@pytest.mark.parametrize(
    "name", ["./mat-ffhq-512", "weights/mat-ffhq-512", "mat-ffhq-512.pkl", "C:\\mat-ffhq-512"]
)
def test_path_is_refused_with_both_readings(name: str) -> None:
    with pytest.raises(UnknownNameError, match="looks like a path") as caught:
        card(name)
    message = str(caught.value)
    for expected in ("from_checkpoint", "from_pretrained", "registry name", "'mat-ffhq-512'"):
        assert expected in message


def test_listing_is_complete_ordered_and_can_be_narrowed() -> None:
    assert list_pretrained() == [one.name for one in CARDS]
    assert [one.architecture for one in CARDS] == sorted(one.architecture for one in CARDS)
    assert list_pretrained("mat")[0] == "mat-celebahq-512"
    assert {card(name).architecture for name in list_pretrained("mat")} == {"mat"}
    with pytest.raises(UnknownNameError, match="unknown architecture 'matt'"):
        list_pretrained("matt")


def test_unpublished_models_say_so_and_what_to_do_instead() -> None:
    assert {one.name for one in LEARNED if not one.weights_published} == UNPUBLISHED
    for name in UNPUBLISHED:
        one = card(name)
        assert not one.downloadable
        assert "What you can do" in one.note
        assert "weights     none published" in one.summary()
        named = [word.strip("'.,;") for word in re.findall(r"'[\w-]+-\d+'", one.note)]
        assert named
        assert all(card(other).weights_published for other in named)


def test_harmonic_needs_no_weights() -> None:
    one = card("harmonic")
    assert (one.available, one.needs_weights, one.downloadable) == (True, False, False)
    assert "weights     none needed" in one.summary()


def test_downloadable_needs_every_part_but_only_one_form() -> None:
    by_hand = _model_card.WeightFile(
        role="a", container="torch", sources=(Source("manual", "https://host/page", "a.pt"),)
    )
    plain = _model_card.WeightFile(
        role="b", container="torch", sources=(Source("url", "https://host/b.pt", "b.pt"),)
    )
    either = dataclasses.replace(by_hand, alternatives=(plain,))
    base = card("latentcode")
    assert not dataclasses.replace(base, files=(by_hand, plain)).downloadable
    assert dataclasses.replace(base, files=(either, plain)).downloadable
    assert not dataclasses.replace(base, files=()).downloadable


def test_available_follows_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    one = card("lama")
    assert one.available
    monkeypatch.delitem(_registry.ARCHITECTURES, "lama")
    assert not one.available
    assert "not in this version" in one.summary()


def test_latent_codes_come_in_four_files() -> None:
    roles = [file.role for file in card("latentcode").files]
    assert roles == ["vqgan", "encoder", "transformer", "decoder"]


@each_card
def test_summary_names_what_a_user_must_know(one: Card) -> None:
    text = one.summary(width=100)
    flat = " ".join(text.split())
    assert str(one) == one.summary()
    for expected in (one.name, one.licence, one.note, one.arxiv or "", one.repository or ""):
        assert expected in flat
    for file in one.files:
        assert all(source.filename in flat for form in file.forms for source in form.sources)
    if one.commercial_use is False:
        assert "non-commercial use only" in flat
    too_wide = [line for line in text.splitlines() if len(line) > 100 and "https://" not in line]
    assert too_wide == []


def test_digest_is_distinct_and_changes_with_the_content() -> None:
    digests = {one.digest for one in CARDS}
    assert len(digests) == len(CARDS)
    one = card("mat")
    changed = dataclasses.replace(one, options={"unheard_of": 512})
    assert changed.digest != one.digest
    assert dataclasses.replace(changed, options=dict(one.options)).digest == one.digest


@each_card
def test_card_survives_copies_pickles_and_json(one: Card) -> None:
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.deepcopy(one).digest == one.digest
    assert hash(one) == hash(copy.deepcopy(one))
    assert json.loads(json.dumps(one.record()))["name"] == one.name


PROBE = """
import socket, sys

def refuse(*args, **kwargs):
    raise OSError("no network while listing")

socket.socket.connect = refuse
from facemask_inpaint import models
names = models.list_pretrained()
texts = [str(models.card(name)) for name in names]
networks = {path.partition(":")[0] for path in models._registry.ARCHITECTURES.values()}
heavy = {"torch", "numpy", "PIL", "scipy", "huggingface_hub", "safetensors"} | networks
print(len(texts), models.card("mat").digest, sorted(heavy & set(sys.modules)))
"""


def test_listing_imports_no_torch_and_no_network_and_digests_agree() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    }
    assert outputs == {f"{len(CARDS)} {card('mat').digest} []"}


def test_what_comes_along_names_a_published_network_that_can_be_fetched() -> None:
    for one in CARDS:
        assert bool(one.advice) == (one.ships or not one.needs_weights), one.name
    assert f"--model {_model_card.PUBLISHED}" in card("lite").advice
    assert card(_model_card.PUBLISHED).downloadable
