"""Checks of constructor arguments that several networks make."""

from __future__ import annotations

from facemask_inpaint.errors import OptionError


def require_multiple(name: str, value: int, unit: int) -> None:
    """Refuse a number that is no positive multiple of a unit.

    Args:
        name: of the argument, for the message.
        value: what was given.
        unit: whose multiple it must be.

    Raises:
        OptionError: it is not.
    """
    if value < unit or value % unit:
        raise OptionError(f"{name} must be a multiple of {unit}, not {value}")


def require_power_of_two(name: str, value: int, least: int) -> None:
    """Refuse a number that is no power of two of at least ``least``.

    Raises:
        OptionError: it is not.
    """
    if value < least or value & (value - 1):
        raise OptionError(f"{name} must be a power of two of at least {least}, not {value}")
