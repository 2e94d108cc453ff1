"""Each diagnostic is nothing for the original itself and grows with the flaw it names."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from facemask_inpaint import Inpainter, SemanticMasker, data
from facemask_inpaint.benchmark.diagnostics import (
    agreement,
    asymmetry,
    colour_shift,
    diagnose,
    seam,
)
from facemask_inpaint.benchmark.diagnostics.colour import ciede2000, to_lab
from facemask_inpaint.errors import ImageError, MaskError
from facemask_inpaint.masks import LABEL_IDS, MASK_CLASSES, Annotation, MaskClass, flip_label_map
from facemask_inpaint.masks.morphology import dilate

_TABLE = """
50.0000   2.6772 -79.7751  50.0000   0.0000 -82.7485   2.0425
50.0000   3.1571 -77.2803  50.0000   0.0000 -82.7485   2.8615
50.0000   2.8361 -74.0200  50.0000   0.0000 -82.7485   3.4412
50.0000  -1.3802 -84.2814  50.0000   0.0000 -82.7485   1.0000
50.0000  -1.1848 -84.8006  50.0000   0.0000 -82.7485   1.0000
50.0000  -0.9009 -85.5211  50.0000   0.0000 -82.7485   1.0000
50.0000   0.0000   0.0000  50.0000  -1.0000   2.0000   2.3669
50.0000  -1.0000   2.0000  50.0000   0.0000   0.0000   2.3669
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0009   7.1792
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0010   7.1792
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0011   7.2195
50.0000   2.4900  -0.0010  50.0000  -2.4900   0.0012   7.2195
50.0000  -0.0010   2.4900  50.0000   0.0009  -2.4900   4.8045
50.0000  -0.0010   2.4900  50.0000   0.0010  -2.4900   4.8045
50.0000  -0.0010   2.4900  50.0000   0.0011  -2.4900   4.7461
50.0000   2.5000   0.0000  50.0000   0.0000  -2.5000   4.3065
50.0000   2.5000   0.0000  73.0000  25.0000 -18.0000  27.1492
50.0000   2.5000   0.0000  61.0000  -5.0000  29.0000  22.8977
50.0000   2.5000   0.0000  56.0000 -27.0000  -3.0000  31.9030
50.0000   2.5000   0.0000  58.0000  24.0000  15.0000  19.4535
50.0000   2.5000   0.0000  50.0000   3.1736   0.5854   1.0000
50.0000   2.5000   0.0000  50.0000   3.2972   0.0000   1.0000
50.0000   2.5000   0.0000  50.0000   1.8634   0.5757   1.0000
50.0000   2.5000   0.0000  50.0000   3.2592   0.3350   1.0000
60.2574 -34.0099  36.2677  60.4626 -34.1751  39.4387   1.2644
63.0109 -31.0961  -5.8663  62.8187 -29.7946  -4.0864   1.2630
61.2901   3.7196  -5.3901  61.4292   2.2480  -4.9620   1.8731
35.0831 -44.1164   3.7933  35.0232 -40.0716   1.5901   1.8645
22.7233  20.0904 -46.6940  23.0331  14.9730 -42.5619   2.0373
36.4612  47.8580  18.3852  36.2715  50.5065  21.2231   1.4146
90.8027  -2.0831   1.4410  91.1528  -1.6435   0.0447   1.4441
90.9257  -0.5406  -0.9208  88.6381  -0.8985  -0.7239   1.5381
 6.7747  -0.2908  -2.4247   5.8714  -0.0985  -2.2286   0.6377
 2.0776   0.0795  -1.1350   0.9033  -0.0636  -0.5514   0.9082
"""
SHARMA = np.loadtxt(_TABLE.splitlines())
"""Table 1 of Sharma, Wu and Dalal (2005): two colours in CIELAB and their CIEDE2000."""

EYES = MaskClass.EYES.label_ids
SKIN_CLASSES = ("eyes", "full_mouth", "nose", "mouth_and_nose", "lips", "face_oval")
"""Classes whose border lies on even skin: a changed tone has nothing to hide behind."""


@pytest.fixture(scope="module", params=[256, 512])
def portrait(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and label map of the bundled portrait."""
    sample = data.sample(request.param)
    return np.asarray(sample.image.convert("RGB")), sample.label_map


def hole_of(labels: np.ndarray, name: str) -> np.ndarray:
    return SemanticMasker()(labels, name)


def brightened(image: np.ndarray, region: np.ndarray, amount: int) -> np.ndarray:
    changed = image.astype(int)
    changed[region] += amount
    return np.clip(changed, 0, 255).astype(np.uint8)


# CIEDE2000


def test_all_published_pairs_come_out() -> None:
    first, second, expected = SHARMA[:, :3], SHARMA[:, 3:6], SHARMA[:, 6]
    np.testing.assert_allclose(ciede2000(first, second), expected, atol=5.1e-5)
    np.testing.assert_allclose(ciede2000(second, first), expected, atol=5.1e-5)
    assert not ciede2000(first, first).any()


def test_lab_of_known_colours() -> None:
    colours = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(to_lab(colours), expected, atol=0.02)


# What no flaw and every flaw give


@pytest.mark.parametrize("name", list(MaskClass))
def test_the_original_itself_has_no_flaw(
    portrait: tuple[np.ndarray, np.ndarray], name: str
) -> None:
    image, labels = portrait
    ids = MASK_CLASSES[name].label_ids
    found = diagnose(image, image, hole_of(labels, name), labels, ids, lambda _: labels)
    paired = set(EYES) <= set(ids) or name in ("eyebrows", "ears")
    assert set(found) == {"seam", "colour_shift", "agreement", *(["asymmetry"] if paired else [])}
    assert found.pop("agreement") == 1
    assert set(found.values()) == {0}


@pytest.mark.parametrize("name", SKIN_CLASSES)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_brighter_or_darker_prediction_shifts_the_colour(
    portrait: tuple[np.ndarray, np.ndarray], name: str, sign: int
) -> None:
    image, labels = portrait
    hole = hole_of(labels, name)
    shifts = [
        colour_shift(image, brightened(image, hole, sign * amount), hole)
        for amount in (0, 4, 8, 16, 32)
    ]
    assert all(low < high for low, high in pairwise(shifts))
    assert shifts[-1] > 1


def test_another_tint_shifts_the_colour(portrait: tuple[np.ndarray, np.ndarray]) -> None:
    image, labels = portrait
    hole = hole_of(labels, "nose")
    tinted = [image.copy() for _ in range(3)]
    for amount, filled in zip((6, 12, 24), tinted):
        filled[hole, 1] -= np.minimum(filled[hole, 1], amount).astype(np.uint8)
    shifts = [colour_shift(image, filled, hole) for filled in tinted]
    assert 0.5 < shifts[0] < shifts[1] < shifts[2]


@pytest.mark.parametrize("name", [*SKIN_CLASSES, "hair", "head"])
def test_a_hard_edge_raises_the_seam(portrait: tuple[np.ndarray, np.ndarray], name: str) -> None:
    image, labels = portrait
    hole = hole_of(labels, name)
    seams = [seam(image, brightened(image, hole, amount), hole) for amount in (0, 4, 8, 16, 32)]
    assert all(low < high for low, high in pairwise(seams))
    assert seams[-1] > 8


def test_a_soft_change_of_tone_is_a_shift_without_a_seam(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    """The same change at the end of a ramp: the eye sees another tone but no line."""
    image, labels = portrait
    hole = hole_of(labels, "face_oval")
    reach = len(labels) // 50
    depth = sum(~dilate(~hole, distance) for distance in range(1, reach + 1)) * hole
    soft = np.clip(image - (40 / reach * depth)[..., None], 0, 255).astype(np.uint8)
    hard = brightened(image, hole, -40)
    assert seam(image, soft, hole) < 0.25 * seam(image, hard, hole)
    assert colour_shift(image, soft, hole) > 0.5


def test_the_membrane_has_less_seam_than_a_mirrored_face(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    image, labels = portrait
    hole = hole_of(labels, "mouth_and_nose")
    smooth = np.asarray(Inpainter.from_pretrained("harmonic")(image, hole))
    pasted = image.copy()
    pasted[hole] = image[:, ::-1][hole]
    for measure in (seam, colour_shift):
        assert measure(image, smooth, hole) < 0.2 * measure(image, pasted, hole)


# Asymmetry


def left_eye(labels: np.ndarray) -> np.ndarray:
    return dilate(labels == LABEL_IDS["l_eye"], labels.shape[0] // 128)


def test_one_changed_eye_raises_the_asymmetry(portrait: tuple[np.ndarray, np.ndarray]) -> None:
    image, labels = portrait
    pale = [brightened(image, left_eye(labels), amount) for amount in (0, 30, 60, 120)]
    found = [asymmetry(image, filled, labels, EYES) for filled in pale]
    assert found[0] == 0
    assert all(low < high for low, high in pairwise(found))


def test_an_eye_from_the_other_side_unmirrored_is_a_mismatch(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    """The right eye pasted over the left one: as it is they look alike, not mirrored."""
    image, labels = portrait
    boxes = [
        [np.flatnonzero((labels == LABEL_IDS[name]).any(axis=axis)) for axis in (1, 0)]
        for name in ("l_eye", "r_eye")
    ]
    height, width = (max(len(box[axis]) for box in boxes) + 4 for axis in (0, 1))
    corners = [(box[0][0] - 2, box[1][0] - 2) for box in boxes]
    left, right = (np.s_[row : row + height, col : col + width] for row, col in corners)
    results = []
    for turn in (-1, 1):
        pasted = image.copy()
        pasted[left] = image[right][:, ::turn]
        results.append(asymmetry(image, pasted, labels, EYES))
    mirrored, copied = results
    assert 2 * mirrored < copied


@pytest.mark.parametrize(("name", "ids"), [("l_brow", (6, 7)), ("l_ear", (8, 9))])
def test_a_component_missing_on_one_side_raises_the_asymmetry(
    portrait: tuple[np.ndarray, np.ndarray], name: str, ids: tuple[int, int]
) -> None:
    image, labels = portrait
    component = labels == LABEL_IDS[name]
    around = dilate(component, len(labels) // 40) & ~component
    gone = image.copy()
    gone[dilate(component, len(labels) // 80)] = np.median(image[around], axis=0)
    assert asymmetry(image, gone, labels, ids) > 4


def test_a_prediction_without_either_eye_is_more_symmetric_than_with_one(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    image, labels = portrait
    hole = hole_of(labels, "eyes")
    none = np.asarray(Inpainter.from_pretrained("harmonic")(image, hole))
    one = np.where((hole & dilate(left_eye(labels), len(labels) // 64))[..., None], none, image)
    both_gone, one_gone = (asymmetry(image, x, labels, EYES) for x in (none, one))
    assert 2 * both_gone < one_gone


def test_an_asymmetry_that_the_original_has_is_none(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    """One eye closed in the original: open or closed, the prediction is not to blame."""
    image, labels = portrait
    odd = brightened(image, left_eye(labels), -60)
    assert asymmetry(odd, odd, labels, EYES) == 0
    blamed = asymmetry(image, odd, labels, EYES)
    assert asymmetry(odd, image, labels, EYES) < 0.5 * blamed


def test_the_pair_that_lost_most_decides(portrait: tuple[np.ndarray, np.ndarray]) -> None:
    image, labels = portrait
    filled = brightened(image, left_eye(labels), 100)
    eyes = asymmetry(image, filled, labels, EYES)
    assert asymmetry(image, filled, labels, MaskClass.HEAD.label_ids) == eyes


def test_asymmetry_needs_both_sides_hidden_and_there(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    image, labels = portrait
    assert asymmetry(image, image, labels, MaskClass.NOSE.label_ids) is None
    assert asymmetry(image, image, labels, EYES[:1]) is None
    turned_away = np.where(labels == LABEL_IDS["l_eye"], LABEL_IDS["skin"], labels)
    assert asymmetry(image, image, turned_away, EYES) is None


def test_labels_may_be_of_another_size_or_in_parts() -> None:
    image = np.asarray(data.sample(512).image.convert("RGB"))
    labels = data.sample(512).label_map
    filled = brightened(image, left_eye(labels), 100)
    parts = Annotation(labels.shape, {label: labels == label for label in range(1, 19)})
    expected = asymmetry(image, filled, labels, EYES)
    assert asymmetry(image, filled, parts, EYES) == expected
    small = data.sample(256).label_map
    assert asymmetry(image, filled, small, EYES) == pytest.approx(expected, rel=0.1)


# Agreement


def test_agreement_is_the_overlap_of_each_component(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    _, labels = portrait
    half = labels.copy()
    nose = np.argwhere(labels == LABEL_IDS["nose"])
    half[tuple(nose[: len(nose) // 4].T)] = LABEL_IDS["skin"]
    found = agreement(half, labels, MaskClass.MOUTH_AND_NOSE.label_ids)
    assert found.pop("nose") == pytest.approx(0.75, abs=0.002)
    assert found == {"mouth": 1, "u_lip": 1, "l_lip": 1}
    gone = np.where(labels == LABEL_IDS["nose"], LABEL_IDS["skin"], labels)
    assert agreement(gone, labels, MaskClass.NOSE.label_ids) == {"nose": 0}


def test_a_parser_may_mix_up_the_sides_and_have_its_own_size(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    _, labels = portrait
    swapped = flip_label_map(labels)[:, ::-1]
    assert agreement(swapped, labels, EYES) == {"eyes": 1}
    assert agreement(swapped.repeat(2, 0).repeat(2, 1), labels, EYES) == {"eyes": 1}


def test_what_the_original_lacks_has_no_agreement(
    portrait: tuple[np.ndarray, np.ndarray],
) -> None:
    image, labels = portrait
    hats = [LABEL_IDS["hat"]]
    assert agreement(labels, labels, hats) == {}
    hole = hole_of(labels, "hair")
    assert "agreement" not in diagnose(image, image, hole, labels, hats, lambda _: labels)


# Where nothing is defined, what is refused, and what it costs


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("measure", [seam, colour_shift])
def test_without_a_border_there_is_no_number(
    measure: Callable[..., float | None], value: bool
) -> None:
    for shape in ((64, 64), (2, 2), (1, 9), (9, 1)):
        image = np.zeros((*shape, 3), np.uint8)
        assert measure(image, image, np.full(shape, value)) is None


def test_a_border_one_pixel_wide_has_no_seam_but_the_rest_counts() -> None:
    image = np.full((32, 32, 3), 90, np.uint8)
    hole = np.ones((32, 32), bool)
    hole[::2] = False  # no two known rows adjoin
    assert seam(image, image, hole) is None
    hole[:, 16:] = False
    assert seam(image, brightened(image, hole, 30), hole) > 5


def test_holes_at_the_edge_of_the_image_count_where_they_meet_known_pixels() -> None:
    image = np.full((32, 48, 3), 90, np.uint8)
    hole = np.zeros((32, 48), bool)
    hole[:, :20] = True
    filled = brightened(image, hole, 30)
    step = float(np.linalg.norm(to_lab(filled[0, 0]) - to_lab(image[0, 0])))
    assert seam(image, filled, hole) == pytest.approx(step)
    assert seam(image[:, ::-1], filled[:, ::-1], hole[:, ::-1]) == pytest.approx(step)
    assert colour_shift(image, filled, hole) == pytest.approx(
        float(ciede2000(to_lab(filled[0, 0]), to_lab(image[0, 0])))
    )


def test_an_even_gradient_has_no_seam() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[None, :, None], (48, 48, 3))
    flat = np.full((48, 48, 3), 120, np.uint8)
    hole = np.zeros((48, 48), bool)
    hole[12:36, 12:36] = True
    assert seam(flat, np.ascontiguousarray(ramp), hole) < 0.1


def test_unlike_inputs_are_refused(portrait: tuple[np.ndarray, np.ndarray]) -> None:
    image, labels = portrait
    hole = hole_of(labels, "nose")
    with pytest.raises(ImageError, match="differ in size"):
        diagnose(image, image[:-1], hole, labels, EYES)
    with pytest.raises(ImageError, match="prediction must be"):
        diagnose(image, image / 255, hole, labels, EYES)
    with pytest.raises(MaskError, match="not uint8"):
        diagnose(image, image, hole.astype(np.uint8), labels, EYES)
    with pytest.raises(MaskError, match="must be bool"):
        diagnose(image, image, hole[:-1], labels, EYES)


@pytest.mark.slow
def test_they_cost_less_than_twenty_milliseconds_at_512() -> None:
    image, labels = np.asarray(data.sample(512).image.convert("RGB")), data.sample(512).label_map
    hole = hole_of(labels, "head")
    filled = brightened(image, hole, 9)
    seconds = []
    for _ in range(20):
        started = time.process_time()
        diagnose(image, filled, hole, labels, MaskClass.HEAD.label_ids)
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.02
