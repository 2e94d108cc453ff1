"""Inpainting pipelines of diffusers that are small enough to be built in a test, at random."""

from __future__ import annotations

from typing import Any

import pytest
import torch

WORDS = ("natural", "human", "eyes", "nose", "hair", "photo", "face", "of", "a", "deformed")


def tokenizer() -> Any:
    """A CLIP tokenizer that knows single letters and a few words."""
    transformers = pytest.importorskip("transformers")
    letters = [chr(code) for code in range(33, 127)]
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *(f"{word}</w>" for word in WORDS),
    ]
    names = ["<|startoftext|>", *tokens, "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(names))}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def autoencoder() -> Any:
    """A KL autoencoder that shrinks images eight times."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=4,
        layers_per_block=1,
    )


def unet(in_channels: int) -> Any:
    """A U-Net that looks at tokens."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(1)
    return diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def stable_diffusion(*, in_channels: int = 9) -> Any:
    """A pipeline of Stable Diffusion; 9 channels were trained to inpaint, 4 were not."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    words = tokenizer()
    torch.manual_seed(2)
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )
    return diffusers.StableDiffusionInpaintPipeline(
        vae=autoencoder(),
        text_encoder=text.eval(),
        tokenizer=words,
        unet=unet(in_channels).eval(),
        scheduler=diffusers.DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
