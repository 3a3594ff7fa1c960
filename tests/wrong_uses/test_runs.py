"""Wrong uses of the commands that take caches, runs and stores: one line with the cure, before the work, no trace.

Thought up as two new users would: an engineer with five clips of each class, a researcher with published sets.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hcl.match.store.batch import EmbeddedBatch
from hcl.match.store.embedding_store import EmbeddingStore, write_store
from hcl.train.config import TrainConfig
from hcl.train.encoders.factory import make_encoder
from hcl.train.runs.planning import begin, make_run_config
from hcl.train.runs.run_folder import Run, save_encoder

TRAIN = [
    ("no cache named", "train", ("Missing argument 'CACHE...'", "hcl train --help")),
    ("a cache that is not there", "train nowhere.zarr", ("nowhere.zarr: no such file or folder", "hcl extract")),
    ("videos", "train videos", ("videos: a folder of videos", "hcl extract makes a cache")),
    ("one video", "train videos/wave/0.mp4", ("0.mp4: a video", "hcl extract")),
    ("a text file", "train notes.txt", ("notes.txt: a file", "expected a cache")),
    ("an empty folder", "train empty", ("empty: an empty folder", "hcl extract")),
    ("a store", "train store.zarr", ("store.zarr: an embedding store", "hcl evaluate", "expected a cache")),
    ("a run", "train runs/hcl", ("runs/hcl: a run", "hcl evaluate", "expected a cache")),
    ("one base class", "train one.zarr", ("one.zarr: 1 base classes", "--splits", "hcl embed --untrained")),
    ("one base class, a run named", "train one.zarr --run new", ("1 base classes", "--splits")),
    ("a finished run", "train cache.zarr --run runs/hcl", ("runs/hcl: this run is finished", "--run")),
    ("a run into a cache", "train cache.zarr --run cache.zarr", ("cache.zarr: a cache", "not a run", "--run")),
    ("a run into a store", "train cache.zarr --run store.zarr", ("an embedding store", "not a run", "--run")),
    ("a run into a file", "train cache.zarr --run notes.txt", ("notes.txt: a file, not a run", "--run")),
    ("a run below a file", "train cache.zarr --run notes.txt/a", ("notes.txt is a file, not a folder", "--run")),
    ("a run into videos", "train cache.zarr --run videos", ("videos: a folder of videos", "not a run", "--run")),
    ("another unfinished run", "train cache.zarr --run unfinished --dim 32", ("--dim 16 there, 32 now", "--run")),
    ("another rate", "train cache.zarr --run unfinished --learning-rate 1", ("--learning-rate 0.001 there, 1.0 now",)),
    ("learning rate 0", "train cache.zarr --learning-rate 0", ("--learning-rate must be above 0, got 0.0",)),
    ("learning rate nan", "train cache.zarr --learning-rate nan", ("--learning-rate must be above 0, got nan",)),
    ("learning rate in words", "train cache.zarr --learning-rate fast", ("--learning-rate", "hcl train --help")),
    ("epochs below 0", "train cache.zarr --epochs -1", ("--epochs must be at least 0, got -1",)),
    ("heads that do not fit", "train cache.zarr --dim 10", ("--dim must be a multiple of --heads",)),
    ("finetuning layer 4 maps", "train cache.zarr --finetune layer4", ("holds maps of layer4", "--backbone-layer")),
    ("skipping a layer that ran", "train cache.zarr --skip-layer4", ("holds maps of layer4", "--skip-layer4")),
    ("skipping and finetuning", "train cache.zarr --skip-layer4 --finetune layer4", ("give one of them",)),
    ("views not cached", "train cache.zarr --views 5", ("--views 5", "holds 1 of each video", "hcl extract --views")),
    ("test views not cached", "train cache.zarr --test-views 5", ("--test-views 5", "hcl extract --views")),
    ("clips too long", "train cache.zarr --clip-sizes 9", ("clips of 9 frames", "lower --clip-sizes")),
    ("clips too long, a run named", "train cache.zarr --run new --clip-sizes 9", ("lower --clip-sizes",)),
    ("a clip size twice", "train cache.zarr --clip-sizes 2,2", ("--clip-sizes must be distinct",)),
    ("clip sizes in words", "train cache.zarr --clip-sizes two", ("expected numbers such as 2 or 2,3, got 'two'",)),
    ("splits not there", "train cache.zarr --splits nowhere.csv", ("nowhere.csv",)),
    ("splits of another form", "train cache.zarr --splits notes.txt", ("notes.txt: no column 'label'",)),
    ("a cache twice", "train cache.zarr cache.zarr", ("cache.zarr: this cache is named twice",)),
    ("merging one cache", "train cache.zarr --merge-classes", ("--merge-classes merges the classes of several",)),
    ("an unknown method", "train cache.zarr --method tsn", ("--method must be one of hcl, resnet", "got 'tsn'")),
    ("a method of nowhere", "train cache.zarr --method nowhere:Name", ("'nowhere:Name' cannot be loaded",)),
    ("one video a class", "train cache.zarr --method trx --videos-per-class 1", ("--videos-per-class must be",)),
    ("finetuning without training", "train cache.zarr --method resnet --finetune layer4", ("leave out --finetune",)),
    ("too few videos a class", "train cache.zarr --videos-per-class 9", ("2 classes with 9 videos", "a 4", "lower")),
    ("the same, a run named", "train cache.zarr --run new --videos-per-class 9", ("lower --videos-per-class",)),
    ("one class a batch", "train cache.zarr --classes-per-batch 1", ("--classes-per-batch must be at least 2",)),
    ("an unknown preset", "train cache.zarr --preset fast", ("'fast' is not one of 'quick', 'paper'",)),
    ("an unknown device", "train cache.zarr --device tpu", ("device 'tpu' cannot be used", "--device cpu")),
    ("weights for nothing", "train cache.zarr --weights w.safetensors", ("--weights", "leave it out")),
    (
        "no loss at all",
        "train cache.zarr --no-cross-entropy --no-global-contrast --no-temporal-contrast --no-temporal-cycle"
        " --no-spatial-contrast --no-spatial-cycle",
        ("every loss term is switched off", "--cross-entropy", "--spatial-cycle"),
    ),
    ("a misspelt option", "train cache.zarr --epoch 3", ("--epoch", "--epochs", "hcl train --help")),
    ("an unknown choice of classes", "train cache.zarr --train-on most", ("'base', 'val', 'all'",)),
    ("a misspelt command", "trian cache.zarr", ("No such command 'trian'", "train")),
]
EMBED = [
    ("neither run nor untrained", "embed cache.zarr --out new.zarr", ("give either --run RUN or --untrained",)),
    ("both", "embed cache.zarr --run runs/hcl --untrained --out new.zarr", ("give either --run RUN or",)),
    ("no target", "embed cache.zarr --untrained", ("Missing option '--out'", "hcl embed --help")),
    ("a run that is not there", "embed cache.zarr --run nowhere --out n.zarr", ("nowhere: no such file", "hcl train")),
    ("an unfinished run", "embed cache.zarr --run unfinished --out n.zarr", ("hcl train CACHE --run unfinished",)),
    ("a store for a run", "embed cache.zarr --run store.zarr --out n.zarr", ("store.zarr: an embedding store",)),
    ("a cache for a run", "embed cache.zarr --run cache.zarr --out n.zarr", ("cache.zarr: a cache", "expected a run")),
    ("into the cache", "embed cache.zarr --untrained --out cache.zarr", ("cache.zarr: a cache",)),
    ("into a file", "embed cache.zarr --untrained --out notes.txt", ("notes.txt: a file",)),
    ("into videos", "embed cache.zarr --untrained --out videos", ("videos: a folder of videos",)),
    ("into a run", "embed cache.zarr --untrained --out runs/hcl", ("runs/hcl: a run",)),
    ("a cache that is not there", "embed nowhere --untrained --out n.zarr", ("nowhere: no such file or folder",)),
    ("a store for a cache", "embed store.zarr --untrained --out n.zarr", ("store.zarr: an embedding store",)),
    ("views not cached", "embed cache.zarr --untrained --test-views 3 --out n.zarr", ("--test-views 3",)),
    (
        "views below 0",
        "embed cache.zarr --untrained --test-views -1 --out n.zarr",
        ("--test-views must be at least 0",),
    ),
    ("a device not there", "embed cache.zarr --untrained --device tpu --out n.zarr", ("--device cpu",)),
]
EVALUATE = [
    ("a place that is not there", "evaluate nowhere", ("nowhere: no such file or folder", "hcl train")),
    ("a cache", "evaluate cache.zarr", ("cache.zarr: a cache of frame maps", "hcl train", "expected a run")),
    ("videos", "evaluate videos", ("videos: a folder of videos", "hcl extract")),
    ("a text file", "evaluate notes.txt", ("notes.txt: a file", "expected a run or an embedding store")),
    ("an unfinished run", "evaluate unfinished", ("an unfinished run", "hcl train CACHE --run unfinished")),
    ("the folder of runs", "evaluate runs", ("runs: a folder of runs or stores (hcl", "name one of them")),
    ("a run without embeddings", "evaluate bare", ("bare: a trained run without embeddings", "hcl embed CACHE")),
    ("too many ways", "evaluate store.zarr --way 7", ("7-way episodes need 7 classes, found 6", "lower --way")),
    ("one way", "evaluate store.zarr --way 1", ("--way must be at least 2, got 1",)),
    ("too many shots", "evaluate store.zarr --shot 9", ("need 10 videos a class", "lower --shot", "--min-videos")),
    ("no shot", "evaluate store.zarr --shot 0", ("--shot must be distinct numbers from 1",)),
    ("a shot twice", "evaluate store.zarr --shot 1,1", ("--shot must be distinct",)),
    ("shots in words", "evaluate store.zarr --shot one", ("--shot", "expected numbers such as 2 or 2,3")),
    ("too many queries", "evaluate store.zarr --queries 9", ("--queries 9", "need 10 videos a class")),
    ("no episodes", "evaluate store.zarr --episodes 0", ("--episodes must be at least 1, got 0",)),
    ("a split not there", "evaluate store.zarr --split base", ("no videos of split 'base', it holds novel", "--split")),
    ("the split test", "evaluate store.zarr --split test", ("'base', 'val', 'novel'", "hcl evaluate --help")),
    ("a seed twice", "evaluate store.zarr --seeds 0,0", ("--seeds must be distinct",)),
    ("seed and seeds", "evaluate store.zarr --seed 5 --seeds 0,1", ("--seed 5 and --seeds", "leave one out")),
    ("seeds in words", "evaluate store.zarr --seeds zero", ("--seeds", "got 'zero'")),
    ("a store twice", "evaluate store.zarr store.zarr", ("store.zarr: named twice",)),
    ("a run and its store", "evaluate runs/hcl runs/hcl/embeddings.zarr", ("named twice",)),
    ("a run by its link", "evaluate runs/hcl runs/latest", ("named twice (runs/latest", "name each run or store once")),
    ("two methods", "evaluate runs/hcl runs/otam", ("of method hcl", "of otam", "hcl compare RUN_A RUN_B")),
    ("two methods, turned", "evaluate runs/otam runs/hcl", ("of method otam", "hcl compare")),
    ("JSON into nowhere", "evaluate store.zarr --json nowhere/r.json", ("there is no folder nowhere", "--json")),
    ("JSON into a folder", "evaluate store.zarr --json empty", ("empty: a folder, expected a file", "--json")),
    ("Markdown into nowhere", "evaluate store.zarr --markdown nowhere/r.md", ("there is no folder", "--markdown")),
    ("Markdown below a file", "evaluate store.zarr --markdown notes.txt/r.md", ("no folder notes.txt", "--markdown")),
    ("episodes into nowhere", "evaluate store.zarr --save-episodes nowhere/e.json", ("--save-episodes",)),
    ("pictures into a file", "evaluate store.zarr --plot notes.txt", ("a file, expected a folder", "--plot")),
    ("pictures into nowhere", "evaluate store.zarr --plot nowhere/p", ("there is no folder nowhere", "--plot")),
    ("scores into a file", "evaluate store.zarr --score-cache notes.txt", ("notes.txt: a file", "--score-cache")),
    ("scores into a cache", "evaluate store.zarr --score-cache cache.zarr", ("cache.zarr: a cache", "--score-cache")),
    ("scores of two", "evaluate store.zarr runs/hcl --score-cache s.zarr", ("--score-cache keeps the scores of one",)),
    ("scores of a baseline", "evaluate runs/otam --score-cache s.zarr", ("--score-cache keeps the scores of hcl",)),
    ("an unknown aggregate", "evaluate store.zarr --aggregate median", ("--aggregate must be one of prototype",)),
    ("another method", "evaluate store.zarr --method trx", ("embeddings of hcl, not of trx", "--method trx")),
    ("an unknown method", "evaluate store.zarr --method tsn", ("--method must be one of hcl", "got 'tsn'")),
    ("a method without run", "evaluate --method trx", ("no finished run of trx", "hcl train CACHE --method trx")),
    ("no clips", "evaluate store.zarr --top-clips 0", ("--top-clips must be at least 1",)),
    ("rejecting nothing", "evaluate store.zarr --reject 0.1", ("--reject goes with --open-set",)),
    ("rejecting all", "evaluate store.zarr --open-set --reject 2", ("--reject must be above 0 and below 1",)),
    (
        "nothing outside",
        "evaluate store.zarr --way 6 --open-set",
        ("--open-set", "6 novel classes", "lower --way to 5"),
    ),
    ("no such episodes", "evaluate store.zarr --episodes-file nowhere.json", ("nowhere.json", "--save-episodes")),
    ("other episodes", "evaluate store.zarr --episodes-file notes.txt", ("not a list of episodes", "--save-episodes")),
    ("levels of a baseline", "evaluate runs/otam --no-spatial", ("--no-spatial", "method hcl", "leave it out")),
    ("clips of a baseline", "evaluate runs/otam --top-clips 3", ("--top-clips", "method hcl", "leave it out")),
    ("a misspelt option", "evaluate store.zarr --k 5", ("No such option '--k'", "hcl evaluate --help")),
]
COMPARE = [
    ("nothing", "compare", ("a comparison needs 2 runs or stores, got 0",)),
    ("one run", "compare runs/hcl", ("a comparison needs 2 runs or stores, got 1", "hcl evaluate")),
    ("a run twice", "compare runs/hcl runs/hcl", ("a run is named twice",)),
    ("a run by its link", "compare runs/hcl runs/latest", ("named twice (runs/latest",)),
    ("a place not there", "compare runs/hcl nowhere", ("nowhere: no such file or folder",)),
    ("a cache", "compare runs/hcl cache.zarr", ("cache.zarr: a cache of frame maps", "expected a run")),
    ("JSON into nowhere", "compare runs/hcl runs/otam --json nowhere/x.json", ("there is no folder", "--json")),
    ("LaTeX into nowhere", "compare runs/hcl runs/otam --latex nowhere/x.tex", ("there is no folder", "--latex")),
    ("CSV into a folder", "compare runs/hcl runs/otam --csv empty", ("a folder, expected a file", "--csv")),
    ("too many ways", "compare runs/hcl runs/otam --way 7", ("need 7 classes, found 6", "lower --way")),
    ("several seeds", "compare runs/hcl runs/otam --seeds 0,1", ("No such option '--seeds'",)),
]
FEW = "cache.zarr --way 2 --shot 1"
STUDIES = [
    ("a store", "crossval store.zarr", ("store.zarr: an embedding store", "expected a cache")),
    ("videos", "crossval videos", ("videos: a folder of videos", "hcl extract")),
    ("too few classes", "crossval small.zarr", ("4 classes leave 0 to train on", "lower --novel or --val")),
    ("too few videos", "crossval cache.zarr --way 2", ("5-shot episodes", "need 6 videos a class", "lower --shot")),
    ("too many folds", f"crossval {FEW} --folds 99", ("--folds 99", "7 classes make 7 different folds of 2", "lower")),
    ("no folds", f"crossval {FEW} --folds 0", ("--folds must be at least 1, got 0",)),
    ("folds in words", f"crossval {FEW} --folds many", ("expected auto or a number, got 'many'",)),
    ("all novel", f"crossval {FEW} --novel 7", ("7 classes leave 0 to train on", "lower --novel")),
    ("one novel", f"crossval {FEW} --novel 1", ("2-way episodes need 2 novel classes", "lower --way or raise --novel")),
    ("a seed twice", f"crossval {FEW} --seeds 0,0", ("--seeds must be distinct",)),
    ("the base split", f"crossval {FEW} --split base", ("--split base", "val and novel videos")),
    ("JSON into nowhere", f"crossval {FEW} --json nowhere/r.json", ("there is no folder nowhere", "--json")),
    ("Markdown into a folder", f"crossval {FEW} --markdown empty", ("a folder, expected a file", "--markdown")),
    ("runs into a file", f"crossval {FEW} --out notes.txt", ("notes.txt: a file", "--out")),
    ("runs into a cache", f"crossval {FEW} --out cache.zarr", ("cache.zarr: a cache", "--out")),
    ("a layer not there", f"crossval {FEW} --finetune layer4", ("holds maps of layer4", "leave it out")),
    ("heads that do not fit", f"crossval {FEW} --dim 10", ("--dim must be a multiple of --heads",)),
    ("no method", f"crossval {FEW} --method none", ("--method must be one of hcl",)),
    ("a large batch", f"crossval {FEW} --videos-per-class 9", ("2 classes with 9 videos", "--videos-per-class")),
    ("long clips", f"crossval {FEW} --clip-sizes 9", ("lower --clip-sizes",)),
    ("a device not there", f"crossval {FEW} --device tpu", ("device 'tpu' cannot be used",)),
    ("one seed", f"crossval {FEW} --seed 3", ("No such option '--seed'", "--seeds")),
    ("no table", "ablate cache.zarr", ("Missing option '--table'", "hcl ablate --help")),
    ("a table not there", "ablate cache.zarr --table 9", ("--table must be of 1, 2, 3, 4, 5, 6, 7, got 9",)),
    ("a table twice", f"ablate {FEW} --table 1,1", ("--table must be distinct",)),
    ("another method", "ablate cache.zarr --table 1 --method trx", ("--method trx", "hcl crossval CACHE --method trx")),
    ("JSON into nowhere, tables", f"ablate {FEW} --table 3 --json nowhere/a.json", ("no folder nowhere", "--json")),
    ("too few videos, tables", "ablate cache.zarr --table 3 --way 2", ("need 6 videos a class", "lower --shot")),
]
PAGES = [
    ("a report of a cache", "report cache.zarr --out r.html", ("cache.zarr: a cache of frame maps", "expected a run")),
    ("a report of videos", "report videos --out r.html", ("videos: a folder of videos",)),
    ("a report of half a run", "report unfinished --out r.html", ("an unfinished run", "hcl train CACHE --run")),
    ("a report to nowhere", "report runs/hcl --out nowhere/r.html", ("no folder nowhere", "--out")),
    ("a report without pictures", "report runs/hcl --videos nowhere --out r.html", ("nowhere", "--videos")),
    ("adapting a cache", "adapt cache.zarr videos --out new", ("cache.zarr: a cache", "expected a run")),
    ("adapting a baseline", "adapt runs/otam videos --out new", ("a run of method otam",)),
    ("adapting half a run", "adapt unfinished videos --out new", ("hcl train CACHE --run unfinished",)),
    ("adapting into a run", "adapt runs/hcl videos --out runs/otam", ("another run stands there", "--out")),
    ("adapting, JSON to nowhere", "adapt runs/hcl videos --out new --json no/a.json", ("no folder no", "--json")),
    ("spotting by a cache", "spot videos/wave/0.mp4 --support videos --run cache.zarr", ("cache.zarr: a cache",)),
    ("spotting to nowhere", "spot videos/wave/0.mp4 --support videos --csv no/s.csv", ("no folder no", "--csv")),
    ("subtitles to nowhere", "spot videos/wave/0.mp4 --support videos --srt no/s.srt", ("no folder no", "--srt")),
    ("spotting in nothing", "spot nowhere.mp4 --support videos", ("nowhere.mp4: no such file or folder",)),
    ("spotting windows in words", "spot videos/wave/0.mp4 --support videos --window long", ("--window",)),
    (
        "explaining by a store",
        "explain videos/wave/0.mp4 videos --run store.zarr --out m.html",
        ("an embedding store",),
    ),
    ("explaining to nowhere", "explain videos/wave/0.mp4 videos --out no/m.html", ("no folder no", "--out")),
    ("explaining as GIF", "explain videos/wave/0.mp4 videos --out m.gif", ("m.gif", ".html or .png")),
    ("an app of a cache", "app --run cache.zarr --port 0", ("cache.zarr: a cache", "expected a run")),
    ("an app of nothing", "app --run nowhere --port 0", ("nowhere: no such file or folder",)),
    ("an app with an argument", "app videos", ("videos", "hcl app --help")),
    ("export to another form", "export runs/hcl --out model.pth", (".pt2", ".onnx", "--out")),
    ("export to nowhere", "export runs/hcl --out nowhere/model.pt2", ("there is no folder nowhere", "--out")),
    ("export of a cache", "export cache.zarr --out model.pt2", ("cache.zarr: a cache", "expected a run")),
    ("export of half a run", "export unfinished --out model.pt2", ("hcl train CACHE --run unfinished",)),
    ("export of no keys", "export runs/otam --out model.pt2 --part text", ("no semantic attention", "encoder")),
    ("export of a part", "export runs/hcl --out model.pt2 --part head", ("'encoder', 'text', 'backbone'",)),
    ("a description of nothing", "info nowhere", ("nowhere: no such file or folder",)),
]
CASES = [*TRAIN, *EMBED, *EVALUATE, *COMPARE, *STUDIES, *PAGES]
SMALL = {"dim": 16, "heads": 2, "mlp_dim": 16, "device": "cpu"}


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    make_cache: Callable[..., object],
    write_embeddings: Callable[..., Path],
    write_video: Callable[..., Path],
) -> Path:
    """A folder with caches, runs, a store, videos and what is none of these; no case changes it."""
    folder = tmp_path_factory.mktemp("place")
    cache = make_cache(folder / "cache.zarr")
    make_cache(folder / "small.zarr", splits={"a": "base", "b": "base", "c": "novel", "d": "novel"})
    make_cache(folder / "one.zarr", splits={"a": "base", "b": "novel", "c": "novel"})
    for name, method in (("runs/hcl", "hcl"), ("runs/otam", "otam"), ("bare", "hcl"), ("unfinished", "hcl")):
        config = make_run_config(cache, TrainConfig(method=method, **SMALL))  # type: ignore[arg-type]
        begin(Run(folder / name, config))
        if name != "unfinished":
            save_encoder(folder / name, make_encoder(config.training, config.encoder).state_dict())
    store = EmbeddingStore.open(write_embeddings(folder / "store.zarr"))
    write_embeddings(folder / "runs/hcl/embeddings.zarr")
    frames = EmbeddedBatch.of({"frames": torch.randn(30, 4, 16)}, store.mean_map)
    write_store(folder / "runs/otam/embeddings.zarr", {"origin": {}}, store.videos, [frames], method="otam")
    (folder / "runs/latest").symlink_to("hcl")
    for number, label in enumerate(("wave", "nod")):
        write_video(folder / "videos" / label / "0.mp4", seed=number)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("hello\n")
    return folder


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [case[1:] for case in CASES],
    ids=[f"{arguments.split()[0]}: {of}" for of, arguments, _ in CASES],
)
def test_a_wrong_use_is_one_line_and_leaves_no_trace(
    place: Path, check_use: Callable[..., str], arguments: str, parts: tuple[str, ...]
) -> None:
    check_use(place, arguments, parts)
    assert os.readlink(place / "runs" / "latest") == "hcl"
