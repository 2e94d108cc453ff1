"""What ``torch.compile`` is asked to build of a network, and whether it can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from facemask_inpaint.errors import MissingDependencyError


def callable_parts(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the largest parts of a network that are called as a whole."""
    for part in network.children():
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            yield from callable_parts(part)
        else:
            yield part


def require_compiler(device: torch.device, options: Mapping[str, object]) -> None:
    """Build a sum for a trial, so that a missing compiler shows now.

    Args:
        device: where the network runs.
        options: arguments of ``torch.compile``.

    Raises:
        MissingDependencyError: the sum cannot be built; the message says why.
    """
    zero = torch.zeros(1, device=device)
    try:
        torch.compile(lambda x: x + 1, **options)(zero)  # type: ignore[call-overload]
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise MissingDependencyError(
            f"torch.compile cannot build anything here ({reason}); on a CPU, it needs a C++ "
            "compiler, such as g++"
        ) from error
