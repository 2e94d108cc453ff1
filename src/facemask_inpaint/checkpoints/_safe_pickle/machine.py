"""A pickle machine that can only build data.

Python's own ``pickle`` looks names up and calls what it finds. This machine does neither: it
interprets the instruction stream itself, over a read-only view of the file, and knows a closed
:class:`Vocabulary`. A name in the vocabulary becomes plain data through one of our functions, or an
inert record; any other name is refused the moment it is mentioned. No name is ever imported,
no object from a file is ever called, and byte strings are views, not copies.
"""

from __future__ import annotations

import pickletools
import re
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from facemask_inpaint.checkpoints._safe_pickle.inert import Budget, Global, Record, StandIn
from facemask_inpaint.errors import CheckpointError, UnsafeCheckpointError

_KNOWN_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_MAX_NAME = 512
_MAX_INTEGER_BYTES = 1024
_MAX_KEY_PARTS = 8
_MAX_KEY_DEPTH = 3
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, struct.error)


Rebuild = Callable[["Machine", tuple[Any, ...]], object]
"""Our function for one name: gets the machine and the arguments the file holds."""


@dataclass(frozen=True)
class Vocabulary:
    """The closed list of names a pickle may mention.

    Attributes:
        rebuild: dotted path to our function, used when the file constructs or calls the name.
        inert: dotted paths that become :class:`Global`, and :class:`Record` when constructed.
        inert_pattern: full-match pattern of further inert paths (classes of one package).
    """

    rebuild: Mapping[str, Rebuild] = field(default_factory=dict)
    inert: frozenset[str] = frozenset()
    inert_pattern: str | None = None

    def __or__(self, other: Vocabulary) -> Vocabulary:
        patterns = [p for p in (self.inert_pattern, other.inert_pattern) if p]
        return Vocabulary(
            {**self.rebuild, **other.rebuild}, self.inert | other.inert, "|".join(patterns) or None
        )

    def allows(self, path: str) -> bool:
        """Whether a file may mention this dotted path."""
        if path in self.rebuild or path in self.inert:
            return True
        return self.inert_pattern is not None and bool(re.fullmatch(self.inert_pattern, path))


class Machine:
    """Interpreter of one or more pickles that lie one after the other.

    Args:
        data: the bytes; the machine keeps views of them.
        budget: limits, with the name of the file for messages.
        vocabulary: names that the pickles may mention.
        persistent: our function for persistent ids; ``None`` refuses them.
    """

    def __init__(
        self,
        data: memoryview,
        budget: Budget,
        vocabulary: Vocabulary,
        persistent: Callable[[object], object] | None = None,
    ) -> None:
        self.data = data
        self.budget = budget
        self.vocabulary = vocabulary
        self.position = 0
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    @property
    def file(self) -> str:
        """Name of the file, for messages."""
        return self.budget.file

    def load(self) -> object:
        """Interpret one pickle and leave ``position`` behind it.

        Raises:
            UnsafeCheckpointError: it mentions a name or uses an instruction outside the list.
            CheckpointError: it is damaged, cut off or absurd.
        """
        self._stack, self._marks, self._memo = [], [], {}
        try:
            return self._run()
        except CheckpointError:
            raise
        except (*_DAMAGE, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"[:200]
            raise CheckpointError(
                f"{self.file}: damaged pickle near byte {self.position} ({reason})"
            ) from error

    def take(self, count: int) -> memoryview:
        """Return a view of the next ``count`` bytes.

        Raises:
            CheckpointError: the data end before.
        """
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise CheckpointError(
                f"{self.file}: cut off: {count} bytes needed at byte {self.position}, "
                f"{len(self.data) - self.position} there"
            )
        view = self.data[self.position : end]
        self.position = end
        return view

    def refuse(self, what: str) -> UnsafeCheckpointError:
        """Return an error for a request outside the closed list."""
        return UnsafeCheckpointError(
            f"{self.file}: refused, nothing was executed: {what}. A checkpoint has no need of "
            "this; get the file from its authors or as safetensors"
        )

    def construct(self, cls: object, args: object) -> object:
        """Return a stand-in for calling ``cls`` with ``args``."""
        if not isinstance(cls, Global):
            raise self.refuse(f"the pickle calls a {type(cls).__name__}, not a known name")
        if not isinstance(args, tuple):
            raise CheckpointError(f"{self.file}: arguments of {cls.path} are not a tuple")
        rebuild = self.vocabulary.rebuild.get(cls.path)
        return rebuild(self, args) if rebuild else Record(cls, args)

    def dictionary(self, items: list[object]) -> dict[object, object]:
        """Return a dictionary of alternating keys and values, whose keys are safe to hash."""
        if len(items) % 2:
            raise CheckpointError(f"{self.file}: damaged pickle: a key without a value")
        return {self._key(key): value for key, value in zip(items[::2], items[1::2])}

    def frozen(self, items: list[object]) -> frozenset[object]:
        """Return a frozen set of items that are safe to hash."""
        self.budget.spend_bytes(len(items))
        return frozenset(map(self._key, items))

    def _run(self) -> object:
        while True:
            if self.position >= len(self.data):
                raise CheckpointError(f"{self.file}: cut off: the pickle has no end")
            code = self.data[self.position]
            self.position += 1
            if code == _STOP:
                return self._stack.pop()
            self.budget.spend_operation()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self._unknown(code)
            operation(self)

    def _unknown(self, code: int) -> CheckpointError:
        known = _KNOWN_NAMES.get(code)
        if known is None:
            return CheckpointError(
                f"{self.file}: damaged pickle: byte {self.position - 1} is {code:#04x}, "
                "which is no pickle instruction"
            )
        return self.refuse(f"the pickle uses the instruction {known}")

    def _number(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def _name(self, module: Any, name: Any) -> Global:
        if not isinstance(module, str) or not isinstance(name, str):
            raise CheckpointError(f"{self.file}: a global's name is not text")
        mentioned = Global(*_current_name(module, name))
        if not self.vocabulary.allows(mentioned.path):
            raise self.refuse(f"the pickle asks for {mentioned.path[:_MAX_NAME]!r}")
        return mentioned

    def _line(self) -> str:
        line, end, _ = bytes(self.data[self.position : self.position + _MAX_NAME]).partition(b"\n")
        if not end:
            raise CheckpointError(f"{self.file}: a name without an end at byte {self.position}")
        self.position += len(line) + 1
        return line.decode("utf-8")

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _proto(self) -> None:
        if not 2 <= (version := self._number("<B")) <= 5:
            raise CheckpointError(f"{self.file}: pickle protocol {version} is not known")

    def _frame(self) -> None:
        if self._number("<Q") > len(self.data) - self.position:
            raise CheckpointError(f"{self.file}: cut off: a pickle frame reaches past the end")

    def _integer(self, layout: str) -> None:
        size = self._number(layout)
        if not 0 <= size <= _MAX_INTEGER_BYTES:
            raise CheckpointError(f"{self.file}: an integer of {size} bytes")
        self._stack.append(int.from_bytes(self.take(size), "little", signed=True))

    def _text(self, layout: str) -> None:
        self._stack.append(bytes(self.take(self._number(layout))).decode("utf-8", "surrogatepass"))

    def _old_text(self, layout: str) -> None:
        self._stack.append(bytes(self.take(self._number(layout))).decode("latin-1"))

    def _bytes(self, layout: str) -> None:
        self._stack.append(self.take(self._number(layout)))

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_mark()

    def _drop_mark(self) -> None:
        self._pop_mark()

    def _tuple(self, count: int) -> None:
        items = tuple(self._stack[-count:])
        if len(items) != count:
            raise CheckpointError(f"{self.file}: damaged pickle: the stack is empty")
        self._stack[-count:] = [items]

    def _marked(self, build: Callable[[list[Any]], Any]) -> None:
        items = self._pop_mark()
        self._stack.append(build(items))

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target.update(self._key(item) for item in items)
        elif not isinstance(target, Record):
            raise self.refuse(f"the pickle appends to a {type(target).__name__}")

    def _append(self) -> None:
        self._extend([self._stack.pop()])

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            target.update(self.dictionary(items))
        elif not isinstance(target, Record):
            raise self.refuse(f"the pickle sets items of a {type(target).__name__}")

    def _set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value])

    def _key(self, key: Any, depth: int = _MAX_KEY_DEPTH) -> Any:
        """The key, of parts whose hash is our own or cheap; nested tuples could overflow it."""
        if isinstance(key, memoryview) and len(key) <= _MAX_NAME:
            return bytes(key)
        if isinstance(key, tuple) and depth and len(key) <= _MAX_KEY_PARTS:
            return tuple(self._key(part, depth - 1) for part in key)
        if isinstance(key, str | int | float | complex | bytes | frozenset | StandIn | Global):
            return key
        if key is None:
            return key
        raise CheckpointError(f"{self.file}: a {type(key).__name__} cannot be a key")

    def _reduce(self) -> None:
        args, cls = self._stack.pop(), self._stack.pop()
        self._stack.append(self.construct(cls, args))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, StandIn):
            target.set_state(state)
        elif not isinstance(target, dict):
            # Attributes of an OrderedDict (state dicts have ``_metadata``) are of no use here.
            raise self.refuse(f"the pickle sets the state of a {type(target).__name__}")

    def _global(self) -> None:
        module = self._line()
        self._stack.append(self._name(module, self._line()))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._stack.append(self._name(module, name))

    def _persistent_id(self) -> None:
        if self._persistent is None:
            raise self.refuse("the pickle asks for an object outside itself (persistent id)")
        self._stack.append(self._persistent(self._stack.pop()))

    def _get(self, layout: str) -> None:
        self._stack.append(self._memo[self._number(layout)])

    def _put(self, layout: str) -> None:
        self._memo[self._number(layout)] = self._stack[-1]

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _push(self, value: Any) -> None:
        self._stack.append(value)


def _current_name(module: str, name: str) -> tuple[str, str]:
    """Python 3's module and name: protocols up to 2 write Python 2's, ``int`` as ``long``."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[module, name]
    return IMPORT_MAPPING.get(module, module), name


_STOP = ord(".")
_OPERATIONS: dict[int, Callable[[Machine], None]] = {
    0x80: Machine._proto,
    0x95: Machine._frame,
    ord("N"): lambda m: m._push(None),
    0x88: lambda m: m._push(True),
    0x89: lambda m: m._push(False),
    ord("J"): lambda m: m._push(m._number("<i")),
    ord("K"): lambda m: m._push(m._number("<B")),
    ord("M"): lambda m: m._push(m._number("<H")),
    ord("G"): lambda m: m._push(m._number(">d")),
    0x8A: lambda m: m._integer("<B"),
    0x8B: lambda m: m._integer("<i"),
    ord("X"): lambda m: m._text("<I"),
    0x8C: lambda m: m._text("<B"),
    0x8D: lambda m: m._text("<Q"),
    ord("T"): lambda m: m._old_text("<i"),
    ord("U"): lambda m: m._old_text("<B"),
    ord("B"): lambda m: m._bytes("<I"),
    ord("C"): lambda m: m._bytes("<B"),
    0x8E: lambda m: m._bytes("<Q"),
    0x96: lambda m: m._bytes("<Q"),
    ord("("): Machine._mark,
    ord("0"): Machine._pop,
    ord("1"): Machine._drop_mark,
    ord("2"): lambda m: m._push(m._stack[-1]),
    ord(")"): lambda m: m._push(()),
    ord("]"): lambda m: m._push([]),
    ord("}"): lambda m: m._push({}),
    0x8F: lambda m: m._push(set()),
    ord("t"): lambda m: m._marked(tuple),
    0x85: lambda m: m._tuple(1),
    0x86: lambda m: m._tuple(2),
    0x87: lambda m: m._tuple(3),
    ord("l"): lambda m: m._marked(list),
    ord("d"): lambda m: m._marked(m.dictionary),
    0x91: lambda m: m._marked(m.frozen),
    ord("a"): Machine._append,
    ord("e"): lambda m: m._extend(m._pop_mark()),
    0x90: lambda m: m._extend(m._pop_mark()),
    ord("s"): Machine._set_item,
    ord("u"): lambda m: m._set_items(m._pop_mark()),
    ord("R"): Machine._reduce,
    0x81: Machine._reduce,
    ord("b"): Machine._build,
    ord("c"): Machine._global,
    0x93: Machine._stack_global,
    ord("Q"): Machine._persistent_id,
    ord("h"): lambda m: m._get("<B"),
    ord("j"): lambda m: m._get("<I"),
    ord("q"): lambda m: m._put("<B"),
    ord("r"): lambda m: m._put("<I"),
    0x94: Machine._memoize,
}
"""Instruction code to its effect. What is not here (INST, OBJ, EXT1, NEWOBJ_EX, …) is refused."""
