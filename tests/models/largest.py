"""How large the largest tensor gets that a computation makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LargestTensor(TorchDispatchMode):
    """Watches every operation within its ``with`` block.

    Attributes:
        nbytes: bytes behind the largest tensor that an operation returned.
    """

    nbytes = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        made = (leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor))
        self.nbytes = max([self.nbytes, *(one.untyped_storage().nbytes() for one in made)])
        return out
