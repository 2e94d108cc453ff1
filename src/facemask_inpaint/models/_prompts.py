"""Texts that say what pipelines are to draw, mask class by mask class."""

from __future__ import annotations

from collections.abc import Mapping

PROMPTS: Mapping[str, str] = {
    "eyes": "natural human eyes, looking at the camera, photo of a face",
    "eyebrows": "natural human eyebrows, photo of a face",
    "full_mouth": "natural human mouth, relaxed expression, photo of a face",
    "nose": "natural human nose, photo of a face",
    "mouth_and_nose": "natural human nose and mouth, relaxed expression, photo of a face",
    "ears": "natural human ears, photo of a head",
    "hair": "natural human hair, detailed strands, photo of a head",
    "eyes_and_eyebrows": "natural human eyes and eyebrows, looking at the camera, photo of a face",
    "face": "natural human skin, photo of a face",
    "lips": "natural human lips, photo of a face",
    "face_oval": "natural human face, looking at the camera, portrait photo",
    "head": "natural human head with hair, looking at the camera, portrait photo",
}
"""By the names of the twelve mask classes."""

ANY_PROMPT = "natural human face, portrait photo"
"""For holes of which nothing is said."""

NEGATIVE_PROMPT = "deformed, blurry, cartoon, drawing, text, watermark"


def default_prompt(mask_class: str | None) -> str:
    """Return what to ask for in the hole of a mask class, one's own classes and none included.

    Example:
        >>> default_prompt("nose")
        'natural human nose, photo of a face'
        >>> default_prompt("left_cheek")
        'natural human left cheek, photo of a face'
    """
    if mask_class is None:
        return ANY_PROMPT
    if mask_class in PROMPTS:
        return PROMPTS[mask_class]
    return f"natural human {mask_class.replace('_', ' ')}, photo of a face"
