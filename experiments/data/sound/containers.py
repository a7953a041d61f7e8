"""Sound files as libsndfile opens them, and those of which it would read a part as if it were all."""

import mmap
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import soundfile

SIZES = r"(?:data|SSND|Data Size|Riff size|riff)\s*: (\d+) \(should be (\d+)\)"  # in what libsndfile notes
UNKNOWN = 2**62  # samples; libsndfile states more if the file does not state its length
TOLERANCE = 0.01  # of a size; heads of whole files are often wrong by some bytes
CHUNKED = {  # what a file begins with: bytes of its head, and how the head of a chunk has its size
    **{b"RIFF": (12, "<I"), b"RIFX": (12, ">I"), b"FORM": (12, ">I"), b"caff": (8, ">q")},
}
RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # of the versions of MP3
BIT_RATES = {  # in kbit/s
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
DELAY = 4  # frames of an MP3 file that are not sound, or that its decoder drops


class File(soundfile.SoundFile):
    """An audio file that does not seek when it is read: behind a FLAC file of unknown length libsndfile cannot.

    Attributes:
        repeatable: Whether it can be read more than once. A pipe cannot.
    """

    def __init__(self, path: Path | str) -> None:
        # By its name: libsndfile reads an open file by calling Python, and swallows a Ctrl-C within the call.
        super().__init__(str(path))
        self.repeatable = super().seekable()

    def seekable(self) -> bool:
        """Return False, so that `read` does not seek."""
        return False


def fault(path: Path | str, file: File) -> str | None:
    """Return why the file that libsndfile has opened is not read as a whole; ``None`` if it is."""
    # libsndfile makes do with what there is, and notes it.
    noted = [(int(said), int(there)) for said, there in re.findall(SIZES, file.extra_info) if not _unknown(int(said))]
    for said, there in noted:
        if there < said and (problem := _compared(said, there)):
            return problem
    if not Path(path).is_file():  # a pipe, which can be read only once
        return None
    with open(path, "rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[:4] in CHUNKED:
            return _chunks(content, *CHUNKED[content[:4]])
        if content[:4] == b".snd":
            begin, said = struct.unpack(">II", content[4:12])
            return None if _unknown(said) else _ended(content, begin + said, said)
        if file.format in ("RF64", "W64"):
            return next((problem for said, _ in noted if (problem := _ended(content, said + 8, said))), None)
        if content[:4] == b"OggS":
            return _pages(content)
        if content[:4] == b"fLaC":
            return _joined() if re.compile(rb"fLaC[\x00\x80]\x00\x00\x22").search(content, 4) else None
        if content[:8] == b"NIST_1A\n":
            return _sphere(content)
        return _frames(content, file.frames) if file.subtype == "MPEG_LAYER_III" else None


def _compared(said: int, there: int, unit: str = "bytes") -> str | None:
    if there < (1 - TOLERANCE) * said:
        return f"is cut short: it holds {there:,} of {said:,} {unit}"
    if there > (1 + TOLERANCE) * said:
        return f"holds {there:,} {unit}, but its head states {said:,}, so that the end would be lost: encode it again"
    return None


def _joined() -> str:
    return "consists of several sounds, of which only the first would be read: split it, or encode it as one"


def _unknown(size: int) -> bool:
    """Return whether a size is what writers to a pipe, or before the end, state: they do not know it."""
    return size <= 0 or 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= 0xFFFFFFFF or size >= UNKNOWN


def _chunks(content: mmap.mmap, position: int, size: str) -> str | None:
    """Check that the chunks of a file fill it: recorders whose sizes overflow at 4 GiB state too little."""
    data, head = 0, 4 + struct.calcsize(size)
    while position + head <= len(content):
        name = content[position : position + 4]
        (length,) = struct.unpack(size, content[position + 4 : position + head])
        if name in (b"data", b"SSND"):
            if _unknown(length):
                return None
            data = length
        elif not (name.isascii() and name.decode().isprintable()) or position + head + length > len(content):
            break
        position += head + length + (length % 2 if head == 8 else 0)
    return _ended(content, position, data) if data else None


def _ended(content: mmap.mmap, end: int, said: int) -> str | None:
    """Check that behind the end of a sound of so many bytes there is nothing but zeros, which recorders reserve."""
    rest = range(end, len(content), 2**20)
    if any(content[begin : begin + 2**20].strip(b"\0") for begin in rest):
        return _compared(said, said + len(content) - end)
    return None


def _pages(content: mmap.mmap) -> str | None:
    """Check that an Ogg file is one stream that ends."""
    position, flags, begun = 0, 0, False
    while content[position : position + 4] == b"OggS" and position + 27 <= len(content):
        flags, segments = content[position + 5], content[position + 26]
        if begun and flags & 2:  # the first page of a stream
            return _joined()
        begun = begun or not flags & 2
        position += 27 + segments + sum(content[position + 27 : position + 27 + segments])
    if position > len(content) or not flags & 4:  # the last page of a stream
        return "is cut short: its last page is missing"
    return None


def _sphere(content: mmap.mmap) -> str | None:
    """Check the number of samples that a NIST SPHERE file states."""
    text = content[: int(content[8:16])].decode("ascii", errors="replace")
    counts = dict(re.findall(r"^(sample_count|channel_count|sample_n_bytes) -i (\d+)", text, re.MULTILINE))
    if len(counts) < 3:
        return None
    said = int(counts["sample_count"]) * int(counts["channel_count"]) * int(counts["sample_n_bytes"])
    return _compared(said, len(content) - len(text))


def _frames(content: mmap.mmap, stated: int) -> str | None:
    """Compare the frames that an MP3 file holds to the length that its first frame states, or lets one expect."""
    frames = list(_mp3(content))
    there = sum(samples for _, samples in frames)
    if not frames:
        return None
    start, samples = frames[0]
    first = content[start : start + 60]
    if there < stated - samples and any(mark in first for mark in (b"Xing", b"Info", b"VBRI")):
        return f"is cut short: it holds {there:,} of {stated:,} samples"
    if abs(there - stated) <= max(DELAY * samples, TOLERANCE * stated):
        return None
    return f"holds {there:,} samples, but its head lets one expect {stated:,}, as of joined files: encode it again"


def _mp3(content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where the frames of an MP3 file begin, and their number of samples."""
    position, following = 0, False  # whether a frame has just ended here
    if content[:3] == b"ID3":
        position = 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(content[6:10])))
    while 0 <= position < len(content):
        length, samples = _frame(content[position : position + 4])
        if length and (following or _frame(content[position + length : position + length + 4])[0]):
            yield position, samples
            position, following = position + length, True
        else:
            position, following = content.find(b"\xff", position + 1), False


def _frame(head: bytes) -> tuple[int, int]:
    """Return the bytes and the samples of a frame by its head; no bytes if it is not that of one."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return 0, 0
    version, bit_rate, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or rate == 3 or bit_rate in (0, 15):
        return 0, 0
    samples = 1152 if version == 3 else 576
    padding = head[2] >> 1 & 1
    return samples // 8 * BIT_RATES[version == 3][bit_rate] * 1000 // RATES[version][rate] + padding, samples
