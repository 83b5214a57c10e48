"""The unreadable training images of a run."""

from collections.abc import Callable

from atmnet.engine.distributed import union_over_processes
from atmnet_cli.errors import UserError


class UnreadableImages:
    """Names of unreadable images, reported once each and limited to a share of the training split.

    Args:
        images: Images in the training split.
        allowed: Share of them that may be unreadable.
        print_line: Prints a line for the user.
    """

    def __init__(self, images: int, allowed: float, print_line: Callable[[str], None]) -> None:
        self._images, self._allowed, self._print_line = images, allowed, print_line
        self.names: list[str] = []

    def add(self, names: list[str]) -> None:
        """Add the names that are new.

        Raises:
            UserError: If more images are unreadable than allowed.
        """
        new = [name for name in dict.fromkeys(names) if name not in self.names]
        self.names += new
        if len(self.names) > self._allowed * self._images:
            raise UserError(
                f"data.max_unreadable: {len(self.names)} of {self._images} training images are unreadable, more than "
                f"{100 * self._allowed:g} %: e.g. {self.names[0]}; `atmnet check-data` lists all"
            )
        for name in new:
            self._print_line(f"skipped an unreadable image: {name}")

    def share(self) -> None:
        """Add the names of all other processes, in the same order everywhere."""
        names = union_over_processes(self.names)
        self.add(names)
        self.names = names
