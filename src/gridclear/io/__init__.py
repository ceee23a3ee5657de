"""Reading and writing of files; nothing here solves anything."""

from gridclear.io.folder import check_case, read_case, write_case

__all__ = ["check_case", "read_case", "write_case"]
