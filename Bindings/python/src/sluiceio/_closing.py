"""A `with` over what has a close()."""

from types import TracebackType
from typing import TYPE_CHECKING, Self


class Closing:
    """Is closed at the end of its `with`."""

    __slots__ = ()

    if TYPE_CHECKING:

        def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        try:
            self.close()
        except BufferError:  # a view of a loop's bytes is kept
            if error is None:
                raise
            # That error is the one to be told. The loop ends with the last view.
