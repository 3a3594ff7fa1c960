"""A file that leads to others is refused by name, and nothing but the file itself is ever opened."""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from hcl.extract.decoding.pool import decode_ahead
from hcl.extract.decoding.source import Source
from hcl.extract.decoding.worker import Decoded, DecodeTask, Failed, decode_video
from hcl.extract.video.container_fields import other_files
from hcl.extract.video.decord_reader import decord_module

IN_OPEN = 0x20
PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"dinf")
PLAYLIST = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ndecoy.ts\n#EXT-X-ENDLIST\n"
SESSION = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
MANIFEST = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period>
<AdaptationSet mimeType="video/mp4"><Representation id="0" bandwidth="1"><BaseURL>decoy.mov</BaseURL>
</Representation></AdaptationSet></Period></MPD>"""
SUBTITLES = (
    "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\ntimestamp: 00:00:01:000, filepos: 0\n"
)
LISTS = {
    "concat.mp4": ("a concat list", "ffconcat version 1.0\nfile decoy.mov\n"),
    "playlist.m3u8": ("a playlist", PLAYLIST),
    "playlist.mp4": ("a playlist", "\ufeff" + PLAYLIST),
    "session.sdp": ("a session description", SESSION),
    "session.mp4": ("a session description", SESSION),
    "manifest.mpd": ("a DASH manifest", MANIFEST),
    "manifest.mp4": ("a DASH manifest", MANIFEST),
    "decoy.idx": ("an index of subtitles", SUBTITLES),
    "list.asx": ("a playlist", '<asx version="3.0"><entry><ref href="decoy.mov"/></entry></asx>'),
}


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def alias(name: str, flags: int = 0) -> bytes:
    """A data reference as QuickTime writes it, to a file in the same folder."""
    path = b"/Disk/" + name.encode()
    record = b"\0" * 10 + b"\x04" + b"Disk".ljust(27, b"\0") + b"\0" * 12
    record += bytes([len(name)]) + name.encode().ljust(63, b"\0")
    record += b"\0" * 16 + struct.pack(">HH", 1, 1) + b"\0" * 16  # levels up and down from the file
    record += struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2) + struct.pack(">HH", 0xFFFF, 0)
    return box(b"alis", struct.pack(">I", flags) + record)


def url(text: str, flags: int = 0) -> bytes:
    return box(b"url ", struct.pack(">I", flags) + text.encode())


def with_reference(data: bytes, entry: bytes) -> bytes:
    """Put another data reference into a mov whose table stands at its end, and let the boxes around it grow."""
    at = data.index(b"dref") - 4
    new = box(b"dref", data[at + 8 : at + 16] + entry)
    (size,) = struct.unpack_from(">I", data, at)
    changed = bytearray(data[:at] + new + data[at + size :])
    for name in PARENTS:
        start = data.rindex(name, 0, at) - 4
        struct.pack_into(">I", changed, start, struct.unpack_from(">I", data, start)[0] + len(new) - size)
    return bytes(changed)


def write_video(path: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(6):
            image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with whatever a file may lead to."""
    for number, name in enumerate(("decoy.mov", "decoy.ts")):
        write_video(tmp_path / name, number)
    (tmp_path / "decoy.sub").write_bytes(b"\0\0\1\xba" + bytes(2000))
    return tmp_path


class Opens:
    """The files of a folder that any process opens, as the kernel tells."""

    def __init__(self, folder: Path) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self.notifier = self._library.inotify_init1(os.O_NONBLOCK)
        self._library.inotify_add_watch(self.notifier, os.fsencode(folder), IN_OPEN)

    def names(self) -> set[str]:
        """Those since the last call."""
        try:
            events = os.read(self.notifier, 1 << 16)
        except BlockingIOError:
            return set()
        found, at = set(), 0
        while at < len(events):
            (length,) = struct.unpack_from("I", events, at + 12)
            found.add(events[at + 16 : at + 16 + length].rstrip(b"\0").decode())
            at += 16 + length
        return found


@pytest.fixture
def opens(folder: Path) -> Iterator[Opens]:
    if sys.platform != "linux":
        pytest.skip("traced by inotify")
    watching = Opens(folder)
    yield watching
    os.close(watching.notifier)


def task(decoder: str) -> DecodeTask:
    return DecodeTask(frames=2, size=32, decoder=decoder)


def read(path: Path, decoder: str) -> Decoded | Failed:
    """What a worker does, in this process."""
    return decode_video(0, path, task(decoder), Source("0")).result


@pytest.mark.parametrize("decoder", ["auto", "decord"])
def test_workers_open_what_they_are_given_and_nothing_else(folder: Path, opens: Opens, decoder: str) -> None:
    if decoder == "decord" and decord_module() is None:
        pytest.skip("decord has no build for this machine")
    paths = [write_video(folder / "video.mov", 5), folder / "reference.mov"]
    paths[1].write_bytes(with_reference(paths[0].read_bytes(), alias("decoy.mov")))
    for name, (_, text) in LISTS.items():
        paths.append(folder / name)
        paths[-1].write_text(text, encoding="utf-8")
    opens.names()
    video, *others = decode_ahead(list(enumerate(paths)), task(decoder), workers=1)
    assert isinstance(video, Decoded) and all(isinstance(other, Failed) for other in others)
    assert opens.names() == {path.name for path in paths}


@pytest.mark.parametrize("decoder", ["auto", "pyav", "decord"])
@pytest.mark.parametrize(("entry", "named"), [(alias("decoy.mov"), "'decoy.mov'"), (url("decoy.mov\0"), "'decoy.mov'")])
def test_a_data_reference_to_another_file_is_refused(
    folder: Path, opens: Opens, entry: bytes, named: str, decoder: str
) -> None:
    path = folder / "reference.mov"
    path.write_bytes(with_reference(write_video(path).read_bytes(), entry))
    opens.names()
    result = read(path, decoder)
    assert isinstance(result, Failed)
    assert result.reason == (
        f"its pictures or its sound lie in another file ({named}); save it as one file that holds them"
    )
    assert opens.names() == {"reference.mov"}


@pytest.mark.parametrize("entry", [alias("itself.mov", flags=1), url("", flags=1), url("", flags=0)])
def test_a_data_reference_to_the_file_itself_is_none(tmp_path: Path, entry: bytes) -> None:
    path = tmp_path / "itself.mov"
    path.write_bytes(with_reference(write_video(path).read_bytes(), entry))
    assert other_files(path) == ""


@pytest.mark.parametrize("decoder", ["auto", "decord"])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_other_files_is_refused_by_name(folder: Path, opens: Opens, name: str, decoder: str) -> None:
    told, text = LISTS[name]
    (folder / name).write_text(text, encoding="utf-8")
    opens.names()
    result = read(folder / name, decoder)
    assert isinstance(result, Failed)
    assert result.reason.startswith(f"it is {told}") and result.reason.endswith("give the videos themselves")
    assert opens.names() == {name}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_not_known_as_one_opens_nothing_else(
    folder: Path, opens: Opens, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg itself can open no file by its name."""
    from hcl.extract.system.errors import VideoError
    from hcl.extract.video import container

    monkeypatch.setattr(container, "other_files", lambda path: "")
    (folder / name).write_text(LISTS[name][1], encoding="utf-8")
    opens.names()
    with pytest.raises(VideoError), container.open_video(folder / name):
        pass
    assert opens.names() == {name}
