"""Finding a network's tensors by keys, behind whatever stands before them."""

from __future__ import annotations

import pytest

from facemask_inpaint.checkpoints import own_keys, select
from facemask_inpaint.errors import CheckpointError

KEYS = {"generator.model.1.w": 1, "generator.model.2.w": 2, "loss.net.w": 3}
OWN = ("stem.w", "body.0.w", "body.0.b")
WRAPPERS = (
    *("", "module.", "_orig_mod.", "generator.", "netG.", "G.", "G_ema.", "model.", "net.", "m:"),
    *("model.generator.", "module._orig_mod.", "params_ema:", "params:module.", "state_dict:G."),
    *("a.strange.name.", "checkpoint:model:netG:module.", "_fsdp_wrapped_module.", "1."),
)


def found(*keys: str, preferred: tuple[str, ...] = ()) -> dict[str, str]:
    return own_keys(keys, ("stem.w",), "Net", preferred=preferred)


def test_select() -> None:
    assert select(KEYS, "generator.") == {"model.1.w": 1, "model.2.w": 2}
    assert select(KEYS, "") == KEYS
    with pytest.raises(CheckpointError, match=r"'module\.'; keys start with: generator, loss"):
        select(KEYS, "module.")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_any_prefix_is_found(wrapper: str) -> None:
    others = ("discriminator.w", "D.stem.weight", "optimizer:state.w") if wrapper else ()
    keys = [*others, *(wrapper + key for key in OWN)]
    assert found(*keys) == {key: wrapper + key for key in OWN}


@pytest.mark.parametrize("inner", ["module", "_orig_mod", "_fsdp_wrapped_module"])
@pytest.mark.parametrize("outer", ["", "G."])
def test_wrappers_of_parts_of_a_network_go_too(inner: str, outer: str) -> None:
    keys = {key: f"{outer}{key.replace('.', f'.{inner}.', 1)}" for key in OWN}
    assert found(*keys.values()) == keys


def test_the_average_of_torch_comes_with_a_counter() -> None:
    """``torch.optim.swa_utils.AveragedModel`` saves ``n_averaged`` beside the wrapped network."""
    assert found("n_averaged", "module.stem.w") == {"stem.w": "module.stem.w"}


def test_a_part_of_a_name_is_no_wrapper() -> None:
    with pytest.raises(CheckpointError, match=r"'stem\.w' is missing"):
        found("subsystem.w", "body.0.w")
    assert found("stem.w", "submodule.w") == {"stem.w": "stem.w", "submodule.w": "submodule.w"}


@pytest.mark.parametrize(
    ("plain", "averaged"),
    [
        *(("G:", "G_ema:"), ("G.", "Gs."), ("params:", "params_ema:"), ("", "ema:")),
        *(("generator.", "generator_average."), ("netG.", "netG_EMA."), ("net.", "shadow.net.")),
    ],
)
def test_the_averaged_copy_counts(plain: str, averaged: str) -> None:
    assert found(f"{plain}stem.w", f"{averaged}stem.w") == {"stem.w": f"{averaged}stem.w"}


def test_what_a_card_prefers_counts_before_all() -> None:
    keys = ("G:stem.w", "G_ema:stem.w", "best:stem.w")
    assert found(*keys, preferred=("best:", "absent.")) == {"stem.w": "best:stem.w"}


def test_a_network_that_holds_a_copy_of_itself_is_the_outer_one() -> None:
    keys = ("net.stem.w", "net.first_stage.stem.w")
    assert found(*keys) == {key.removeprefix("net."): key for key in keys}


def test_several_copies_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"2 copies of Net .* behind 'old\.', 'newer\.'"):
        found("old.stem.w", "newer.stem.w")


def test_nested_dictionaries_beside_the_network_are_not_its_own() -> None:
    assert found("stem.w", "optimizer:stem_w") == {"stem.w": "stem.w"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (("net.G.a.w", "net.G.b.w"), r"'stem\.w' is missing; all 2 keys start with 'net\.G\.'"),
        (("state_dict:a.w", "state_dict:b.w"), "all 2 keys start with 'state_dict:'"),
        (("netA.w", "netB.w"), "keys start with: netA, netB"),
        ((), "there are no tensors"),
    ],
)
def test_missing_keys_come_with_what_all_others_share(keys: tuple[str, ...], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        found(*keys)
