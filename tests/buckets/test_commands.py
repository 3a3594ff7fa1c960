"""Every argument of every command: a URL is served, or refused in one line; none becomes a folder called "s3:"."""

import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hcl.cli import main
from hcl.extract.system.errors import InputError
from hcl.extract.system.options import LocalPath
from hcl.extract.system.places.arguments import PlaceType

SERVED = {  # by command: what may be in a bucket
    "extract": {"videos", "cache"},
    "convert": {"source", "target"},
    "train": {"caches", "run"},
    "embed": {"cache", "run", "out"},
    "export": {"run"},
    "crossval": {"cache", "out"},
    "ablate": {"cache", "out"},
    "info": {"path"},
    "evaluate": {"stores", "on"},
    "compare": {"runs"},
    "report": {"run"},
    "search": {"store", "run"},
    "classify": {"support", "run"},
    "index": {"run", "out"},
    "spot": {"support", "run"},
    "explain": {"support", "run"},
    "check": {"support", "run"},
    "adapt": {"run", "support", "caches"},
    "app": {"support", "run"},
    "demo-videos": set(),
}
PATHS = [
    (name, parameter)
    for name, command in sorted(main.commands.items())
    for parameter in command.params
    if isinstance(parameter.type, click.Path | PlaceType)
]
ROOT = Path(__file__).parents[2]
INPUTS = {  # a place where nothing is, as each input that may be in a bucket
    "extract": "extract {} c.zarr",
    "convert": "convert {} c.zarr",
    "train": "train {}",
    "embed": "embed {} --untrained --out o.zarr",
    "embed by": "embed c.zarr --run {} --out o.zarr",
    "export": "export {} --out m.pt2",
    "crossval": "crossval {}",
    "ablate": "ablate {} --table 1",
    "info": "info {}",
    "evaluate": "evaluate {}",
    "compare": "compare {} {}2",
    "report": "report {} --out r.html",
    "search": "search {} 0",
    "classify": "classify v.mp4 --support {}",
    "classify by": "classify v.mp4 --support f --run {}",
    "index": "index f --out o.support --run {}",
    "spot": "spot v.mp4 --support {}",
    "explain": "explain v.mp4 {} --out m.html",
    "check": "check {}",
    "adapt": "adapt {} f --out run2",
    "app": "app --run {}",
}


def run(line: str) -> Result:
    return CliRunner().invoke(main, line.split())


def test_every_argument_that_is_a_path_says_whether_it_may_be_a_url() -> None:
    served: dict[str, set[str]] = {name: set() for name in main.commands}
    for name, parameter in PATHS:
        assert isinstance(parameter.type, LocalPath | PlaceType), (name, parameter.name)
        if isinstance(parameter.type, PlaceType):
            served[name].add(str(parameter.name))
    assert served == SERVED


@pytest.mark.parametrize(
    ("name", "parameter"),
    [(name, parameter) for name, parameter in PATHS if isinstance(parameter.type, LocalPath)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_what_stays_on_this_machine_refuses_a_url(name: str, parameter: click.Parameter) -> None:
    context = click.Context(main.commands[name])
    for url in ("s3://bucket/x", "gs://bucket/x", "az://bucket/x", "s3:/bucket/x", "http://host/x"):
        with pytest.raises(InputError, match=rf"{url}: a URL, but this is read and written on this machine alone"):
            parameter.type.convert(url, parameter, context)
    with pytest.raises(InputError) as told:
        parameter.type.convert("https://me:SECRET@host/x?token=SECRET", parameter, context)
    assert "SECRET" not in str(told.value)


@pytest.mark.parametrize("name", INPUTS)
def test_a_place_where_nothing_is_is_named_in_one_line(
    name: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f" / "a").mkdir(parents=True)
    for file in ("v.mp4", "f/a/v.mp4"):
        (tmp_path / file).write_bytes(b"no video")
    answer = run(INPUTS[name].format(*[f"{bucket}/nothing"] * 2))
    line = answer.output.strip().splitlines()[-1]
    assert answer.exit_code == 2, answer.output
    assert f"{bucket}/nothing" in line or name == "embed by", line
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("extract f {}/c.h5", "an HDF5 cache is read from this machine alone"),
        ("extract f {}/c.mp4", "a cache is no .mp4 file"),
        ("convert {}/c.h5 c.zarr", "an HDF5 cache is read from this machine alone"),
        ("info http://host/x", "no http:// URLs are read"),
        ("evaluate s3:/bucket/x", "expected two slashes"),
        ("classify v.mp4 --support {}/videos", "videos of supports, which is kept on this machine alone"),
        ("explain v.mp4 {}/videos --out m.html", "a video or folder to compare with, which is kept on this machine"),
        ("app --support {}/videos", "a folder of clips, which is kept on this machine alone"),
    ],
)
def test_what_a_bucket_does_not_serve_is_refused(
    line: str, said: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hcl.extract.system.places.location import place_of

    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.mp4").write_bytes(b"no video")
    (place_of(bucket) / "videos" / "a" / "b.mp4").write_bytes(b"no video")
    answer = run(line.format(bucket))
    assert answer.exit_code == 2 and said in answer.output and answer.output.count("\n") == 1, answer.output
    assert [each.name for each in tmp_path.iterdir() if each.name != "home"] == ["v.mp4"]


def test_the_commands_of_the_example_are_commands() -> None:
    lines = (ROOT / "examples/buckets/try_on_this_machine.sh").read_text().splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("hcl ")]
    assert len(commands) > 5
    for name, *given in commands:
        main.commands[name].make_context(name, given)


def test_what_a_file_says_opens_no_connection(
    bucket: str, faults: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_embeddings: Any
) -> None:
    from hcl.match.store.relabelled import relabelled_line

    origin = {"cache": f"{bucket}/cache.zarr", "run": f"{bucket}/run"}
    assert relabelled_line("store", origin, None) == "" and not faults.log  # type: ignore[arg-type]
