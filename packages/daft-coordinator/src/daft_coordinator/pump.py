"""From a job's bytes to log records, fast and in bounded memory.

Measured: one `json.dumps` per line manages about 150 000 short lines per second. So lines are
cut and encoded a chunk at a time, with one time stamp per chunk and the C string encoder.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring_ascii

READ_BYTES = 16 * 1024
LINE_LIMIT_BYTES = 64 * 1024
SHOWN_BYTES = 500
QUIET_S = 1.0
"""A line without its newline is written after this long without more of it."""

_ODD_BYTES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}
_quote: Callable[[str], str] = encode_basestring_ascii


class Piece:
    """One line, or one part of a line that is longer than the limit."""

    __slots__ = ("as_bytes", "continues", "text")

    def __init__(self, text: str, continues: bool, as_bytes: bool) -> None:
        self.text = text
        self.continues = continues
        self.as_bytes = as_bytes


class LineSplitter:
    """Cuts a stream of bytes into lines; keeps at most one unfinished line of 64 KiB.

    `\\n` and `\\r\\n` end a line, a lone `\\r` does not. Bytes that are not UTF-8 are kept as
    `\\xNN`, and the piece says so.
    """

    def __init__(self) -> None:
        self._pending = b""
        self._inside = False  # a part of the pending line has been given out already

    @property
    def has_pending(self) -> bool:
        """True while there is an unfinished line."""
        return bool(self._pending)

    def pending_end(self) -> str:
        """Return what a terminal shows of the unfinished line, at most 500 bytes of it."""
        shown = self._pending.rstrip(b"\r").rpartition(b"\r")[2]
        return shown[-SHOWN_BYTES:].decode("utf-8", "replace")

    def plain_lines(self, data: bytes) -> list[str] | None:
        """Take `data`; return whole lines when all is ordinary, None when `feed` must be asked.

        On None nothing was taken. This is the fast way: no object per line.
        """
        if self._inside:
            return None
        whole = self._pending + data if self._pending else data
        if len(whole) > LINE_LIMIT_BYTES:
            return None
        end = whole.rfind(b"\n")
        if end < 0:
            self._pending = whole
            return []
        try:
            text = whole[:end].decode()
        except UnicodeDecodeError:
            return None
        self._pending = whole[end + 1 :]
        lines = text.split("\n")
        if "\r" in text:
            lines = [line.removesuffix("\r") for line in lines]
        return lines

    def feed(self, data: bytes) -> list[Piece]:
        """Take `data` of any kind and return what is complete."""
        whole = self._pending + data
        pieces: list[Piece] = []
        start = 0
        while (end := whole.find(b"\n", start)) >= 0:
            self._cut(whole[start:end], pieces)
            start = end + 1
        rest = whole[start:]
        while len(rest) > LINE_LIMIT_BYTES:
            head, rest = _cut_at_limit(rest)
            pieces.append(self._piece(head))
            self._inside = True
        self._pending = rest
        return pieces

    def flush(self) -> list[Piece]:
        """Return the unfinished line as it is; what follows continues it."""
        if not self._pending:
            return []
        piece = self._piece(self._pending)
        self._pending = b""
        self._inside = True
        return [piece]

    def _cut(self, line: bytes, pieces: list[Piece]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if not line and self._inside:
            self._inside = False  # the newline that ends a line already given out
            return
        while len(line) > LINE_LIMIT_BYTES:
            head, line = _cut_at_limit(line)
            pieces.append(self._piece(head))
            self._inside = True
        pieces.append(self._piece(line))
        self._inside = False

    def _piece(self, raw: bytes) -> Piece:
        try:
            return Piece(raw.decode(), self._inside, False)
        except UnicodeDecodeError:
            # The handler for backslashes makes an object for every odd byte; this does not.
            text = raw.decode("utf-8", "surrogateescape").translate(_ODD_BYTES)
            return Piece(text, self._inside, True)


def _cut_at_limit(line: bytes) -> tuple[bytes, bytes]:
    """Cut after at most 64 KiB, not inside a UTF-8 sequence."""
    end = LINE_LIMIT_BYTES
    for back in range(4):
        if line[end - back] & 0xC0 != 0x80:
            end -= back
            break
    return line[:end], line[end:]


def encode_lines(lines: list[str], *, first_seq: int, ts: int, kind: str) -> list[str]:
    """Return one JSON line per text, numbered from `first_seq`, newline included."""
    middle = f',"ts":{ts},"kind":"{kind}","data":'
    quote = _quote
    return [f'{{"seq":{seq}{middle}{quote(line)}}}\n' for seq, line in enumerate(lines, first_seq)]


def encode_pieces(pieces: list[Piece], *, first_seq: int, ts: int, kind: str) -> list[str]:
    """Return one JSON line per piece, with its marks."""
    lines: list[str] = []
    for seq, piece in enumerate(pieces, first_seq):
        marks = ',"cont":true' if piece.continues else ""
        if piece.as_bytes:
            marks += ',"enc":"bytes"'
        text = _quote(piece.text)
        lines.append(f'{{"seq":{seq},"ts":{ts},"kind":"{kind}","data":{text}{marks}}}\n')
    return lines
