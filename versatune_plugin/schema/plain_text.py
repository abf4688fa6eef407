"""Bytes of a user's file as text."""

from __future__ import annotations

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class TextError(ValueError):
    """Why bytes are no text that is read here; the message says what to do."""


def decoded(data: bytes) -> str:
    """The text of a file in UTF-8; a byte-order mark may come first.

    Args:
        data: all of the file.

    Raises:
        TextError: it is UTF-16, or not UTF-8; then the line is named.
    """
    if is_utf_16(data):
        raise TextError("it is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextError(f"line {line} is not UTF-8 (byte 0x{data[error.start]:02x}); save it as UTF-8") from None


def is_utf_16(data: bytes) -> bool:
    """Whether bytes show at once that they are UTF-16.

    Args:
        data: the beginning of a file, two bytes or more where it has them.
    """
    # Text of ours begins with an ASCII character, which UTF-16 writes with a zero beside it.
    return data.startswith(_UTF_16_MARKS) or (0 in data[:2] and data[:2] != b"\0\0")
