"""Every network answers like its authors' own code, given the same made-up weights."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tests.parity import adapters
from tests.parity.cases import Case
from tests.parity.networks import Networks


def test_answers_like_the_official_code(
    case: Case, networks: Networks, record_property: Callable[[str, object], None]
) -> None:
    network = networks.of(case)
    with torch.inference_mode():
        answers = list(adapters.adapter(case.network).answers(network, case))
    for answer in answers:
        record_property("parity", (case.id, answer.name, answer.difference, answer.tolerance))
    assert answers
    apart = {a.name: a.difference for a in answers if not a.difference <= a.tolerance}
    assert not apart, f"{case.id}: differences above the bar: {apart}"
