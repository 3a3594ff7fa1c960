"""Wrong uses of the commands that read videos: extract, convert, info, demo-videos, index, classify, check."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLIPS = {"wave": 2, "clap": 2}
SETTINGS_OF_OTHERS = "--no-text --weights nowhere.pt"  # never read: what is wrong is seen before

FILES = {
    "manifest.csv": "path,label\nvideos/wave/0.mp4,wave\nvideos/clap/0.mp4,clap\n",
    "few_there.csv": "path,label\nvideos/wave/0.mp4,wave\ngone/1.mp4,wave\ngone/2.mp4,clap\n",
    "none_there.csv": "path,label\nwave/0.mp4,wave\nclap/0.mp4,clap\n",
    "one_absent.csv": "path,label\nwave/0.mp4,wave\n",
    "class_column.csv": "path,class\nvideos/wave/0.mp4,wave\n",
    "headless.csv": "videos/wave/0.mp4,wave\nvideos/clap/0.mp4,clap\n",
    "spaces.csv": "videos/wave/0.mp4 0\nvideos/clap/0.mp4 1\n",
    "only_header.csv": "path,label\n",
    "nothing.csv": "",
    "twice.csv": "path,label\nvideos/wave/0.mp4,wave\n./videos/wave/0.mp4,clap\n",
    "two_splits.csv": "path,label,split\nvideos/wave/0.mp4,wave,base\nvideos/wave/1.mp4,wave,novel\n",
    "some_splits.csv": "path,label,split\nvideos/wave/0.mp4,wave,base\nvideos/clap/0.mp4,clap,\n",
    "odd_split.csv": "path,label,split\nvideos/wave/0.mp4,wave,query\n",
    "split_alone.csv": "path,label,split\nvideos/wave/0.mp4,,base\n",
    "blank_path.csv": "path,label\n,wave\n",
    "many_values.csv": "path,label\nvideos/wave/0.mp4,wave,by hand\n",
    "open_quote.csv": 'path,label\n"videos/wave/0.mp4,wave\n',
    "two_labels.csv": "path,label,label\nvideos/wave/0.mp4,wave,clap\n",
    "two_split_columns.csv": "path,label,split,fold\nvideos/wave/0.mp4,wave,base,val\n",
    "names.csv": "label,name\njump,to jump\n",
    "same_names.csv": "label,name\nwave,hand\nclap,hand\n",
    "no_names.csv": "class,text\nwave,hand\n",
    "list.txt": "videos/wave/0.mp4 wave\n",
    "notes.txt": "nothing here",
    "blank_labels.csv": "path,label\nvideos/wave/0.mp4,wave\nvideos/clap/0.mp4,\n",
}


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    write_video: Any,
    make_cache: Any,
    write_embeddings: Any,
    edit_attributes: Callable[..., None],
    small_weights: Path,
) -> Path:
    """What a person may have lying about."""
    from hcl.extract.cache.formats import convert

    place = tmp_path_factory.mktemp("world")
    for name, text in FILES.items():
        (place / name).write_text(text)
    (place / "latin.csv").write_bytes("path,label\nvideos/wave/0.mp4,grün\n".encode("latin-1"))
    video = write_video(place / "clip.mp4", frames=3).read_bytes()
    paths = [f"videos/{name}/{copy}.mp4" for name, count in CLIPS.items() for copy in range(count)]
    paths += ["flat/1.mp4", "flat/2.mp4", "one_class/wave/0.mp4", "train_beside/train/a/0.mp4", "two/train/a/0.mp4"]
    paths += ["two/test/a/0.mp4", "beside/base/a/0.mp4", "beside/wave/0.mp4", "no_classes/train/0.mp4"]
    paths += ["twins/Wave/0.mp4", "twins/wave/0.mp4", "train_beside/wave/0.mp4", "demo_like/wave/0.mp4", "half/.new"]
    paths += ["streams/rgb/a/0.mp4", "streams/flow/a/0.mp4"]
    for path in paths:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(video + path.encode())
    for path in ("empty", "empty_classes/wave", "images", "documents"):
        (place / path).mkdir(parents=True)
    (place / "images" / "1.jpg").write_bytes(b"no image")
    (place / "documents" / "1.pdf").write_bytes(b"no video")
    make_cache(place / "cache.zarr")
    convert(place / "cache.zarr", place / "cache.h5")
    make_cache(place / "broken.zarr", splits={"a": "base"})
    (place / "broken.zarr" / "zarr.json").write_text("{")
    make_cache(place / "old.zarr", splits={"a": "base"})
    edit_attributes(place / "old.zarr", lambda attributes: attributes.update(version=2))
    make_cache(place / "harmed.zarr", splits={"a": "base"})
    (place / "harmed.zarr" / "label" / "c" / "0").unlink()
    (place / "broken.h5").write_bytes(b"no HDF5")
    write_embeddings(place / "store.zarr")
    write_embeddings(place / "gestures.support")
    edit_attributes(place / "gestures.support", lambda attributes: attributes.update(schema="hcl-support", version=2))
    (place / "run").mkdir()
    (place / "run" / "config.json").write_text(json.dumps({"schema": "hcl-run", "schema_version": 1, "hcl": "0.1"}))
    (place / "weights.bin").write_bytes(b"no weights")
    (place / "weights.safetensors").write_bytes(b"no weights")
    (place / "small.safetensors").write_bytes(small_weights.read_bytes())
    return place


EXTRACT = [
    ("nothing is named", "extract", ("Missing argument 'VIDEOS'",)),
    ("no cache is named", "extract videos", ("Missing argument 'CACHE'",)),
    ("a folder that is not there", "extract nowhere c.zarr", ("nowhere: no such folder or manifest",)),
    ("a manifest that is not there", "extract nowhere.csv c.zarr", ("nowhere.csv: no such folder or manifest",)),
    ("an empty folder", "extract empty c.zarr", ("empty: no videos found", "empty; expected class folders")),
    ("class folders without videos", "extract empty_classes c.zarr", ("no videos found", "class folders without")),
    ("images alone", "extract images c.zarr", ("found images such as 1.jpg", "folder of a video's frames")),
    ("documents", "extract documents c.zarr", ("no videos found", "not read by their suffix", ".pdf")),
    ("a single video", "extract clip.mp4 c.zarr", ("clip.mp4: neither a folder of class folders nor a .csv",)),
    ("a list of another format", "extract list.txt c.zarr", ("list.txt: neither a folder", "path,label")),
    (
        "a cache as videos",
        "extract cache.zarr c.zarr",
        ("cache.zarr: a cache of frame maps, which hcl train", "expected videos"),
    ),
    ("an HDF5 cache as videos", "extract cache.h5 c.zarr", ("cache.h5: neither a folder of class folders",)),
    ("a store as videos", "extract store.zarr c.zarr", ("store.zarr: an embedding store, which hcl evaluate",)),
    ("a run as videos", "extract run c.zarr", ("run: a run, which hcl evaluate",)),
    ("a support set as videos", "extract gestures.support c.zarr", ("a support set, which hcl classify",)),
    (
        "arguments the wrong way round",
        "extract c.zarr videos",
        ("videos: a folder of videos, of which hcl extract makes", "hcl extract VIDEOS CACHE"),
    ),
    ("a folder of videos as the cache", "extract videos flat", ("flat: a folder of videos", "expected a cache")),
    ("a file as the cache", "extract videos notes.txt", ("notes.txt: a file; expected a cache",)),
    ("a store as the cache", "extract videos store.zarr", ("store.zarr: an embedding store", "expected a cache")),
    ("a run as the cache", "extract videos run", ("run: a run", "expected a cache")),
    ("an HDF5 cache to add to", "extract videos cache.h5", ("cache.h5: a file; expected a cache",)),
    (
        "a new HDF5 cache",
        "extract videos --split-policy all-novel new.h5",
        ("hcl extract writes a Zarr folder; name it new.zarr", "hcl convert"),
    ),
    ("a cache named like an archive", "extract videos c.zip", ("c.zip: a cache is no .zip file", "c.zarr")),
    ("a cache named like a video", "extract videos c.mp4", ("c.mp4: a cache is no .mp4 file",)),
    ("a cache named like a list", "extract videos c.csv", ("c.csv: a cache is no .csv file",)),
    (
        "a cache of an older version",
        "extract videos old.zarr",
        ("old.zarr: written by an older hcl", "extract it anew"),
    ),
    ("a broken cache", "extract videos broken.zarr", ("broken.zarr: its zarr.json cannot be read",)),
    (
        "a harmed cache",
        "extract videos harmed.zarr",
        ("harmed.zarr: array 'label' is damaged", "extract the cache anew"),
    ),
    ("a file in the place of a folder", "extract videos notes.txt/c.zarr", ("notes.txt/c.zarr: cannot be written",)),
    (
        "a place where nobody can write",
        "extract videos /proc/nowhere/c.zarr",
        ("/proc/nowhere/c.zarr: cannot be written",),
    ),
    ("a missing place, and a refusal", "extract nowhere new/deep/c.zarr", ("nowhere: no such folder",)),
    ("a name that is too long", f"extract videos {'x' * 300}", ("cannot be written (File name too long)",)),
    ("videos of a name that is too long", f"extract {'x' * 300} c.zarr", ("File name too long; name another path",)),
    (
        "few classes and no splits",
        "extract videos c.zarr",
        ("2 classes are too few to split", "--split-policy all-novel"),
    ),
    (
        "a list of which two are there",
        f"extract few_there.csv c.zarr {SETTINGS_OF_OTHERS}",
        ("2 of its 3 videos are not there", "gone/1.mp4", "--skip-missing"),
    ),
    (
        "a list of which none is there",
        "extract none_there.csv c.zarr",
        ("none of its 2 videos is there", "wave/0.mp4", "folder of the manifest"),
    ),
    (
        "one that is not there, skipped",
        "extract one_absent.csv c.zarr --skip-missing",
        ("none of its 1 videos is there",),
    ),
    ("a column of another name", "extract class_column.csv c.zarr", ("no column 'label'", "'class'")),
    ("no header", "extract headless.csv c.zarr", ("no column 'path'", "first line is 'videos/wave/0.mp4,wave'")),
    ("spaces for commas", "extract spaces.csv c.zarr", ("no column 'path'; the header must name path,label",)),
    ("a header alone", "extract only_header.csv c.zarr", ("only_header.csv: no videos found",)),
    ("an empty list", "extract nothing.csv c.zarr", ("nothing.csv: no column 'path'",)),
    ("a video that is listed twice", "extract twice.csv c.zarr", ("twice.csv line 3", "listed twice")),
    ("a class in two splits", "extract two_splits.csv c.zarr", ("'wave' is in split novel here and in base before",)),
    ("splits of some classes", "extract some_splits.csv c.zarr", ("class 'clap' has no split while others have one",)),
    ("a split that is none", "extract odd_split.csv c.zarr", ("line 2: split 'query' is not one of base, val, novel",)),
    ("a split without a class", "extract split_alone.csv c.zarr", ("line 2: a split is of a class",)),
    ("a line without a path", "extract blank_path.csv c.zarr", ("line 2: path and label must not be empty",)),
    ("more values than columns", "extract many_values.csv c.zarr", ("line 2: more values than columns",)),
    ("a quote that stays open", "extract open_quote.csv c.zarr", ("open_quote.csv: not a readable UTF-8 CSV file",)),
    (
        "a list that is not UTF-8",
        "extract latin.csv c.zarr",
        ("latin.csv: not a readable UTF-8 CSV", "save it as CSV UTF-8"),
    ),
    ("a column twice", "extract two_labels.csv c.zarr", ("column 'label' stands twice",)),
    ("two columns of splits", "extract two_split_columns.csv c.zarr", ("'base' and fold 'val' differ",)),
    ("split folders beside a class", "extract beside c.zarr", ("'wave' stands beside base/",)),
    (
        "train beside a class",
        "extract train_beside c.zarr",
        ("'wave' stands beside train/, which is read as the split base",),
    ),
    (
        "a split of videos, not of classes",
        "extract two c.zarr",
        ("class 'a' is in split", "every class into one split only"),
    ),
    ("a split folder without classes", "extract no_classes c.zarr", ("without class folders, such as train/0.mp4",)),
    ("colours and flow", "extract streams c.zarr", ("several kinds of images of the same",)),
    (
        "classes that read alike",
        "extract twins c.zarr --split-policy all-novel",
        ("'Wave' and 'wave' are both called 'wave'",),
    ),
    (
        "names of other classes",
        "extract videos c.zarr --split-policy all-novel --names names.csv",
        ("names.csv: 'jump' is no class", "clap, wave"),
    ),
    (
        "names that are alike",
        "extract videos c.zarr --split-policy all-novel --names same_names.csv",
        ("both called 'hand'",),
    ),
    (
        "names without columns",
        "extract videos c.zarr --split-policy all-novel --names no_names.csv",
        ("no column 'label'; the header must name label,name",),
    ),
    (
        "names that are not there",
        "extract videos c.zarr --split-policy all-novel --names nowhere.csv",
        ("nowhere.csv: no such file",),
    ),
    (
        "weights that are not there",
        f"extract videos c.zarr --split-policy all-novel {SETTINGS_OF_OTHERS}",
        ("nowhere.pt: no such weights", "--weights"),
    ),
    (
        "weights of another kind",
        "extract videos c.zarr --split-policy all-novel --weights weights.bin",
        ("--weights reads .safetensors",),
    ),
    (
        "weights that are none",
        "extract videos c.zarr --split-policy all-novel --weights weights.safetensors",
        ("not a readable safetensors file",),
    ),
    (
        "a ResNet that there is not",
        "extract videos c.zarr --split-policy all-novel --backbone resnet152",
        ("--backbone resnet152: no such ResNet", "resnet101"),
    ),
    (
        "a ResNet in another spelling",
        "extract videos c.zarr --split-policy all-novel --backbone ResNet-50",
        ("--backbone ResNet-50: no such ResNet", "resnet50-v1"),
    ),
    (
        "the shipped weights for another ResNet",
        "extract videos c.zarr --split-policy all-novel --backbone resnet18",
        ("--backbone resnet18: the shipped weights are those of resnet50-v1",),
    ),
    (
        "weights of another ResNet",
        "extract videos c.zarr --split-policy all-novel --backbone resnet34 --weights small.safetensors",
        ("says that it holds resnet18, but --backbone says resnet34",),
    ),
    (
        "a text model that is not there",
        "extract videos c.zarr --split-policy all-novel --weights small.safetensors --size 32 --text-model ./nowhere",
        ("./nowhere",),
    ),
    ("compiled for a CPU", "extract videos c.zarr --split-policy all-novel --compile", ("--compile is for a GPU",)),
    ("no frames", "extract videos c.zarr --frames 0", ("--frames must be at least 1, got 0",)),
    ("frames that are no number", "extract videos c.zarr --frames eight", ("--frames", "'eight'")),
    ("tiny frames", "extract videos c.zarr --size 8", ("--size must be at least 32, got 8",)),
    ("no views", "extract videos c.zarr --views 0", ("--views must be at least 1, got 0",)),
    ("mirrored, of one view", "extract videos c.zarr --views 1 --flip", ("--flip mirrors further views", "--views 2")),
    ("a motion that there is not", "extract videos c.zarr --motion flow", ("--motion", "rgbdiff")),
    ("a layer that there is not", "extract videos c.zarr --backbone-layer layer5", ("--backbone-layer", "layer3")),
    ("a type that there is not", "extract videos c.zarr --cache-dtype int4", ("--cache-dtype", "uint8")),
    ("an option that there is not", "extract videos c.zarr --fps 8", ("No such option", "--fps", "hcl extract --help")),
    ("fewer workers than none", "extract videos c.zarr --workers -1", ("--workers must be at least 0, got -1",)),
    ("a forecast of nothing", "extract nowhere c.zarr --dry-run", ("nowhere: no such folder or manifest",)),
    ("a forecast of missing videos", "extract few_there.csv c.zarr --dry-run", ("2 of its 3 videos are not there",)),
]
STORES = [
    ("no target", "convert cache.zarr", ("Missing argument 'TARGET'",)),
    (
        "a source that is not there",
        "convert nowhere.zarr x.h5",
        ("nowhere.zarr: no such file or folder", "hcl extract"),
    ),
    ("an HDF5 source that is not there", "convert nowhere.h5 x.zarr", ("nowhere.h5: no such cache",)),
    ("videos as the source", "convert videos x.h5", ("videos: a folder of videos, of which hcl extract makes",)),
    ("a store as the source", "convert store.zarr x.h5", ("store.zarr: an embedding store, which hcl evaluate",)),
    ("a text as the source", "convert notes.txt x.h5", ("notes.txt: a file; expected a cache",)),
    ("a broken HDF5 file", "convert broken.h5 x.zarr", ("broken.h5: not a readable HDF5 file",)),
    ("a target that is there", "convert cache.zarr cache.h5", ("cache.h5: already exists; name another file",)),
    ("an archive as the target", "convert cache.zarr small.zip", ("small.zip: a cache is no .zip file", "cache.h5")),
    ("a target in a place that cannot be", "convert cache.zarr notes.txt/x.h5", ("notes.txt/x.h5: cannot be written",)),
    ("information of nothing", "info", ("Missing argument 'PATH'",)),
    ("information of what is not there", "info nowhere", ("nowhere: no such file or folder",)),
    ("information of videos", "info videos", ("videos: a folder of videos, of which hcl extract makes",)),
    ("information of a video", "info clip.mp4", ("clip.mp4: a video, of which hcl extract makes a cache",)),
    ("information of an empty folder", "info empty", ("empty: an empty folder",)),
    ("information of a list", "info manifest.csv", ("manifest.csv: a file",)),
    ("information of an older cache", "info old.zarr", ("old.zarr: written by an older hcl",)),
    ("information of an older run", "info run", ("run: a run of hcl 0.1", "train it anew")),
    ("information of a harmed cache", "info harmed.zarr", ("array 'label' is damaged",)),
    ("a demo set of no classes", "demo-videos demo --classes 0", ("--classes must be from 1 to",)),
    ("a demo set of too many classes", "demo-videos demo --classes 999", ("--classes must be from 1 to",)),
    (
        "a demo set among other videos",
        "demo-videos demo_like",
        ("demo_like/wave: not part of a demo set", "new or empty folder"),
    ),
    ("a demo set in the place of a file", "demo-videos notes.txt", ("notes.txt", "cannot be written")),
]
CLASSIFY = [
    ("no support set to write", "index videos", ("Missing option '--out'",)),
    ("nothing to index", "index --out x.support", ("nothing to index", "--remove")),
    ("examples that are not there", "index nowhere --out x.support", ("nowhere: no such folder or manifest",)),
    (
        "examples without classes",
        "index flat --out x.support",
        ("2 videos without class folders, such as 1.mp4", "make one for each class"),
    ),
    ("a list without labels", "index blank_labels.csv --out x.support", ("line 3: path and label must not be empty",)),
    ("a support set again", "index gestures.support --out x.support", ("gestures.support: a support set already",)),
    (
        "a cache as examples",
        "index cache.zarr --out x.support",
        ("cache.zarr: a cache of frame maps", "expected videos"),
    ),
    (
        "adding to what is not there",
        "index videos --out x.support --add",
        ("x.support: no such support set", "hcl index"),
    ),
    ("removing from what is not there", "index --out x.support --remove wave", ("x.support: no such support set",)),
    (
        "videos in the support set's place",
        "index videos --out flat",
        ("flat: a folder of videos", "expected a support set"),
    ),
    ("a store in the support set's place", "index videos --out store.zarr", ("store.zarr: an embedding store",)),
    ("no queries", "classify --support videos", ("Missing argument 'QUERIES...'",)),
    ("no examples", "classify clip.mp4", ("Missing option '--support'",)),
    ("queries that are not there", "classify nowhere --support videos", ("nowhere: no such file or folder",)),
    ("an empty folder of queries", "classify empty --support videos", ("empty: no videos in it or below",)),
    ("a cache as a query", "classify cache.zarr --support videos", ("cache.zarr: a cache of frame maps",)),
    ("an empty list of queries", "classify only_header.csv --support videos", ("only_header.csv: lists no videos",)),
    ("a list without paths", "classify no_names.csv --support videos", ("no_names.csv: no column 'path'",)),
    (
        "examples that are not there, to classify by",
        "classify clip.mp4 --support nowhere",
        ("nowhere: no such folder or manifest",),
    ),
    (
        "a cache to classify by",
        "classify clip.mp4 --support cache.zarr",
        ("cache.zarr: a cache of frame maps", "a support set"),
    ),
    ("a store to classify by", "classify clip.mp4 --support store.zarr", ("store.zarr: an embedding store",)),
    (
        "a run that is not there",
        "classify clip.mp4 --support videos --run nowhere",
        ("nowhere: no such file or folder; expected a run",),
    ),
    (
        "answers into a missing folder",
        "classify clip.mp4 --support videos --json no/a.json",
        ("no/a.json: there is no folder no", "--json"),
    ),
    (
        "a table into a folder",
        "classify clip.mp4 --support videos --csv videos",
        ("videos: a folder, expected a file", "--csv"),
    ),
    ("no class at the top", "classify clip.mp4 --support videos --top 0", ("--top must be at least 1",)),
    ("a share that is none", "classify clip.mp4 --support videos --reject 2", ("--reject",)),
    (
        "a device that there is not",
        "classify clip.mp4 --support videos --device tpu",
        ("device 'tpu' cannot be used", "--device cpu"),
    ),
    ("a test of nothing", "check", ("Missing argument 'SUPPORT'",)),
    ("a test of what is not there", "check nowhere", ("nowhere: no such folder or manifest",)),
    ("a test of one class", "check one_class", ("1 class (wave): a test needs 2 or more",)),
    ("a test of clips without classes", "check flat", ("without class folders",)),
    ("a test of a cache", "check cache.zarr", ("cache.zarr: a cache of frame maps",)),
    ("a page into a missing folder", "check videos --html no/a.html", ("no/a.html", "--html")),
    ("findings into a folder", "check videos --json videos", ("videos: a folder, expected a file", "--json")),
    ("a run of an older version", "check videos --run run", ("run: a run of hcl 0.1",)),
]
CASES = [*EXTRACT, *STORES, *CLASSIFY]


@pytest.mark.parametrize(("arguments", "parts"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_wrong_use_is_one_line_and_leaves_no_trace(
    world: Path, check_use: Any, arguments: str, parts: tuple[str, ...]
) -> None:
    check_use(world, arguments, parts)


def test_names_of_cases_differ() -> None:
    assert len({name for name, *_ in CASES}) == len(CASES) >= 140
