"""A `with` statement for objects that have a close()."""

from types import TracebackType
from typing import TYPE_CHECKING, Self


class Closing:
    """An object that is closed at the end of its `with`."""

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
            # The error that ended the `with` is raised then. The loop ends with the last view.
