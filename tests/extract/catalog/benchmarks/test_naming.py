"""Names on disk and listed ids meet; groups are what was filmed together."""

import re
from collections import Counter

import pytest

from hcl.extract.catalog.benchmarks.finding import Names
from hcl.extract.catalog.benchmarks.listing import read_listing
from hcl.extract.config import BENCHMARKS

FOUND = [  # benchmark, name on disk without suffix, id that is meant (None: none), level
    ("kinetics-cmn", "-kYzxMKp514_000086_000096", "-kYzxMKp514_000086_000096", 0),
    ("kinetics-cmn", "-kYzxMKp514_86_96", "-kYzxMKp514_000086_000096", 1),
    ("kinetics-cmn", "-kYzxMKp514", "-kYzxMKp514_000086_000096", 2),
    ("kinetics-cmn", "-kYzxMKp514_000010_000020", None, 0),  # another part of the same video
    ("kinetics-cmn", "-kYzxMKp51", None, 0),
    ("ssv2-otam", "78687", "78687", 0),
    ("ssv2-otam", "078687", "78687", 0),
    ("ssv2-otam", "78687b", None, 0),
    ("ssv2-otam", "²", None, 0),  # a digit to Python's isdigit
    ("ucf-arn", "v_HandStandPushups_g01_c01", "v_HandStandPushups_g01_c01", 0),
    ("ucf-arn", "v_HandstandPushups_g01_c01", "v_HandStandPushups_g01_c01", 2),
    ("ucf-arn", "v_HandstandPushups_g01", None, 0),
    ("hmdb-arn", "kick__ball", None, 0),
]


@pytest.mark.parametrize(("name", "stem", "meant", "level"), FOUND)
def test_a_name_on_disk_means_a_listed_id(name: str, stem: str, meant: str | None, level: int) -> None:
    listing = read_listing(name)
    names = Names((video.id for video in listing.videos), listing.benchmark.naming)
    assert names.find(stem) == (None if meant is None else (meant, level))


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_id_is_found_by_its_own_name_and_where_scripts_replaced_letters(name: str) -> None:
    listing = read_listing(name)
    ids = [video.id for video in listing.videos]
    names = Names(ids, listing.benchmark.naming)
    assert [names.find(each) for each in ids] == [(each, 0) for each in ids]
    replaced = [re.sub("[^A-Za-z0-9_-]", "_", each) for each in ids]
    assert [names.find(name) for name in replaced] == [
        (each, int(each != name)) for each, name in zip(ids, replaced, strict=True)
    ]


def test_replaced_letters_are_found_where_one_id_alone_can_be_meant() -> None:
    ids = ["#20_Rhythm_clap", "Goal_1_&_2_kick", "Smile!_a", "Smile_a", "smile(a)"]
    names = Names(ids, read_listing("hmdb-arn").benchmark.naming)
    assert names.find("_20_Rhythm_clap") == ("#20_Rhythm_clap", 1)
    assert names.find("%2320_Rhythm_clap") == ("#20_Rhythm_clap", 1)
    assert names.find("Goal_1_2_kick") == ("Goal_1_&_2_kick", 3)
    assert names.find("Smile!_a") == ("Smile!_a", 0)
    assert names.find("smile__a") == ("Smile!_a", 2)
    assert names.find("SMILEA") is None, "three ids may be meant"


@pytest.mark.parametrize(
    ("name", "groups", "example"),
    [
        ("ucf-arn", 101 * 25, ("v_YoYo_g25_c05", "v_YoYo_g25")),
        ("hmdb-arn", 1407, ("winKen_wave_u_cm_np1_ri_bad_1", "winKen")),
        ("kinetics-cmn", 10_000, ("-kYzxMKp514_000086_000096", "-kYzxMKp514")),
        ("ssv2-cmn", 1, ("88644", "")),
    ],
)
def test_groups_are_what_was_filmed_together(name: str, groups: int, example: tuple[str, str]) -> None:
    listing = read_listing(name)
    of_ids = {video.id: listing.benchmark.naming.group(video.label, video.id) for video in listing.videos}
    assert of_ids[example[0]] == example[1]
    assert len(set(of_ids.values())) == groups
    if name != "ssv2-cmn":
        assert "" not in of_ids.values(), "--group-disjoint needs a group for every video"
    if name == "ucf-arn":  # 4 to 7 clips a group
        assert set(Counter(of_ids.values()).values()) == {4, 5, 6, 7}
