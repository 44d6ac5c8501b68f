"""Columns: sequences that hold millions of rows in a few blocks instead of a list of objects.

Some can be taken apart into named arrays and put together again, to be kept in a file.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Self, TypeVar, final, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")


class Column(Sequence[T]):
    """What all columns share: a slice is a list, a negative index counts from the end."""

    @abstractmethod
    def row(self, index: int) -> T:
        """Row `index`, which is not negative; an IndexError beyond the end."""

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self.row(i) for i in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
            if index < 0:
                raise IndexError(index)
        return self.row(index)

    def __iter__(self) -> Iterator[T]:
        return map(self.row, range(len(self)))


Arrays = Mapping[str, NDArray[Any]]


class Packed(Column[T]):
    """A column that can be taken apart into arrays."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """What it consists of."""

    @classmethod
    @abstractmethod
    def of(cls, arrays: Arrays) -> Self:
        """The column that consists of these."""


def inner(name: str, arrays: Arrays) -> Arrays:
    """The arrays of a column within a column, which are named `name.`..."""
    return {k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(f"{name}.")}


def outer(name: str, arrays: Arrays) -> dict[str, NDArray[Any]]:
    """The arrays of a column as they are named within another."""
    return {f"{name}.{k}": v for k, v in arrays.items()}


@final
class Strings(Packed[str]):
    """Many strings in one block of UTF-8: a million questions in tens of megabytes."""

    def __init__(self, strings: Iterable[str] = ()) -> None:
        self._block, self._ends = bytearray(), array("q", [0])
        for string in strings:
            self.append(string)

    def append(self, string: str) -> None:
        """Add a row."""
        self._block += string.encode()
        self._ends.append(len(self._block))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, index: int) -> str:
        return self._block[self._ends[index] : self._ends[index + 1]].decode()

    def arrays(self) -> Arrays:
        return {"block": np.frombuffer(self._block, np.uint8), "ends": np.array(self._ends)}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        column = cls()
        column._block = bytearray(arrays["block"])
        column._ends = array("q", arrays["ends"].tobytes())
        return column


@final
class Interned(Packed[str]):
    """Many strings out of few: `values[codes[i]]` is row i."""

    def __init__(self, strings: Iterable[str] = ()) -> None:
        self.codes, self.values = array("i"), list[str]()
        self._known: dict[str, int] = {}
        for string in strings:
            self.append(string)

    def append(self, string: str) -> None:
        """Add a row."""
        code = self._known.setdefault(string, len(self.values))
        if code == len(self.values):
            self.values.append(string)
        self.codes.append(code)

    def __len__(self) -> int:
        return len(self.codes)

    def row(self, index: int) -> str:
        return self.values[self.codes[index]]

    def arrays(self) -> Arrays:
        return {"codes": np.array(self.codes), **outer("values", Strings(self.values).arrays())}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        column = cls()
        column.codes = array("i", arrays["codes"].tobytes())
        column.values = list(Strings.of(inner("values", arrays)))
        column._known = {value: code for code, value in enumerate(column.values)}
        return column


@final
class Tuples(Packed[tuple[str, ...]]):
    """Many short tuples of strings out of few, such as ten people's answers to each question."""

    def __init__(self, tuples: Iterable[Iterable[str]] = ()) -> None:
        self._strings, self._ends = Interned(), array("q", [0])
        for strings in tuples:
            self.append(strings)

    def append(self, strings: Iterable[str]) -> None:
        """Add a row."""
        for string in strings:
            self._strings.append(string)
        self._ends.append(len(self._strings))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, index: int) -> tuple[str, ...]:
        values = self._strings.values
        codes = self._strings.codes[self._ends[index] : self._ends[index + 1]]
        return tuple([values[code] for code in codes])

    def arrays(self) -> Arrays:
        return {"ends": np.array(self._ends), **outer("strings", self._strings.arrays())}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        column = cls()
        column._strings = Interned.of(inner("strings", arrays))
        column._ends = array("q", arrays["ends"].tobytes())
        return column


@final
class Grouped(Column[tuple[str, ...]]):
    """Strings by owner: row i holds those that `owners` gives to i, in their order."""

    def __init__(self, strings: Sequence[str], owners: NDArray[np.int64], count: int) -> None:
        self._strings, self._order = strings, np.argsort(owners, kind="stable")
        self._ends = np.searchsorted(owners[self._order], np.arange(count + 1))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def row(self, index: int) -> tuple[str, ...]:
        places = self._order[self._ends[index] : self._ends[index + 1]]
        return tuple(self._strings[place] for place in places.tolist())


@final
class Numbered(Packed[str]):
    """Strings that differ by a number only: `Numbered("COCO_val2014_{:012d}", ids)`."""

    def __init__(self, pattern: str, numbers: Iterable[int]) -> None:
        self._pattern, self._numbers = pattern, array("q", numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def row(self, index: int) -> str:
        return self._pattern.format(self._numbers[index])

    def arrays(self) -> Arrays:
        pattern = np.frombuffer(self._pattern.encode(), np.uint8)
        return {"pattern": pattern, "numbers": np.array(self._numbers)}

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        return cls(arrays["pattern"].tobytes().decode(), array("q", arrays["numbers"].tobytes()))


class Rows(Sequence[Any]):
    """Some rows of a sequence, in a given order, without copying it."""

    def __init__(self, whole: Sequence[Any], indices: Sequence[int] | NDArray[np.int64]) -> None:
        self._whole, self._indices = whole, np.asarray(indices, np.int64)

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Rows(self._whole, self._indices[index])
        return self._whole[int(self._indices[index])]

    def __iter__(self) -> Iterator[Any]:
        return map(self._whole.__getitem__, self._indices.tolist())


@final
class Joined(Column[T]):
    """Sequences one after another, without copying them."""

    def __init__(self, *parts: Sequence[T]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def row(self, index: int) -> T:
        if index >= len(self):
            raise IndexError(index)
        part = int(np.searchsorted(self._ends, index, side="right"))
        return self._parts[part][index - int(self._ends[part]) + len(self._parts[part])]

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(self._parts)
