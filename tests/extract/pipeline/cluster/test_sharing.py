"""How a cluster's cores and GPUs are shared out, and what cannot be asked of it; no cluster is started."""

import builtins
import sys
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from hcl.cli import main
from hcl.extract.backbones.machine import MachineKind, kinds_of, refuse_mixture
from hcl.extract.pipeline.cluster.config import ClusterConfig
from hcl.extract.pipeline.cluster.connecting import Share, import_ray, share_out
from hcl.extract.system.errors import InputError


def node(cpus: float, gpus: float = 0, *, alive: bool = True) -> dict[str, Any]:
    resources = {"CPU": cpus, "memory": 1e9, **({"GPU": gpus} if gpus else {})}
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "given", "expected"),
    [
        ([node(2)], {}, Share(2, 0, 1)),
        ([node(2)], {"cpus": 1}, Share(1, 0, 2)),
        ([node(4), node(64), node(0)], {}, Share(4, 0, 17)),  # the head node has no cores for work
        ([node(4), node(64, alive=False)], {}, Share(4, 0, 1)),
        ([node(16, 2), node(2)], {}, Share(8, 1, 2)),  # a GPU with its share of the cores; others do nothing
        ([node(16, 2)], {"gpus": 0.5}, Share(4, 0.5, 4)),
        ([node(16, 2)], {"gpus": 0.4}, Share(3, 0.4, 4)),  # 0.4 of a GPU fits twice, never over two
        ([node(16, 2)], {"gpus": 2}, Share(16, 2, 1)),
        ([node(16, 2)], {"gpus": 0, "cpus": 5}, Share(5, 0, 3)),
        ([node(3, 4)], {}, Share(1, 1, 3)),  # fewer cores than GPUs
        ([node(0)], {"workers": 3}, Share(1, 0, 0)),  # an autoscaler may bring nodes
    ],
)
def test_cores_and_gpus_are_shared_out(nodes: list[Any], given: dict[str, Any], expected: Share) -> None:
    assert share_out(nodes, ClusterConfig(ray="auto", **given)) == expected


def test_no_room_is_one_line_with_what_there_is() -> None:
    with pytest.raises(InputError, match=r"of 1 cores and 1 GPUs \(found: 8 cores and 0 GPUs\); lower --ray-cpus or"):
        share_out([node(8)], ClusterConfig(ray="auto", gpus=1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"ray": "ray://head:10001"},
            "the driver must run on a node of the cluster; start it there by: ray job submit",
        ),
        ({"ray": "somewhere"}, "--ray must be local, auto or HOST:PORT, got 'somewhere'"),
        ({"ray": "auto", "workers": -1}, "--ray-workers must be at least 0, got -1"),
        ({"ray": "auto", "cpus": -2}, "--ray-cpus must be at least 0, got -2"),
        ({"ray": "auto", "gpus": 1.5}, "--ray-gpus must be from 0 to 1, such as 0.5, or a whole number, got 1.5"),
        ({"ray": "auto", "gpus": -1}, "--ray-gpus must be from 0 to 1"),
    ],
)
def test_what_cannot_be_asked_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ClusterConfig(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("extract", "videos", "c.zarr", "--ray-cpus", "2"), "--ray-cpus goes with --ray"),
        (("extract", "videos", "c.zarr", "--ray", "auto", "--dry-run"), "--dry-run measures this machine"),
        (("evaluate", "--ray-gpus", "1"), "--ray-gpus goes with --ray"),
        (
            ("embed", "c.zarr", "--untrained", "--out", "s.zarr", "--ray", "nowhere"),
            "--ray must be local, auto or HOST",
        ),
    ],
)
def test_options_without_a_cluster_are_refused(arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and message in done.output


def test_a_missing_ray_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *given: Any, **named: Any) -> Any:
        if name == "ray":
            raise ModuleNotFoundError("No module named 'ray'")
        return imported(name, *given, **named)

    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"--ray needs ray .*install the extra cluster: pip install 'hcl\[cluster\]'"):
        import_ray()


def test_kinds_of_machines_are_told_apart() -> None:
    kind = MachineKind.here()
    assert kind == MachineKind.here() and not kind.differences(MachineKind.here())
    other = replace(kind, torch="1.0", device="H100")
    assert kind.differences(other) == f"torch {kind.torch} here, 1.0 there; device {kind.device} here, H100 there"
    assert kinds_of({"made_by": [kind.to_dict(), other.to_dict()]}, "made_by") == (kind, other)
    assert kinds_of({}, "made_by") == ()
    for wrong in ("x", [1], [{"hcl": "1"}], [{**kind.to_dict(), "av": 3}]):
        with pytest.raises(InputError, match="extract the cache anew"):
            kinds_of({"made_by": wrong}, "made_by")
    refuse_mixture("c.zarr", "torch 1 here, 2 there", mixed=True)
    with pytest.raises(InputError, match=r"c\.zarr: another version or kind of machine: torch 1 .*--mixed"):
        refuse_mixture("c.zarr", "torch 1 here, 2 there", mixed=False)
