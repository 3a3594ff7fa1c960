"""The manifests and scripts of examples/ have the form that KubeRay and Slurm read, and commands of ours."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from hcl.cli import main

yaml = pytest.importorskip("yaml", reason="pyyaml comes with the extra docs")
FOLDER = Path(__file__).parents[2] / "examples" / "cluster"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?([EPTGMK]i?|m)?")


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]
    return spec if document["kind"] == "RayCluster" else spec["rayClusterSpec"]


def check_pods(group: dict[str, Any]) -> None:
    pod = group["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for container in pod["containers"]:
        assert container["name"] and re.fullmatch(r"[\w./-]+:[\w.-]+", container["image"])
        for mount in container["volumeMounts"]:
            assert mount["mountPath"].startswith("/") and mount["name"] in volumes
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(limits) and requests == limits  # what Ray is told is what there is
        assert all(QUANTITY.fullmatch(str(amount)) for amount in limits.values())
    assert all(isinstance(value, str) for value in group["rayStartParams"].values())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_those_of_kuberay(path: Path) -> None:
    document = read(path)
    assert document["apiVersion"] == "ray.io/v1" and document["kind"] in ("RayJob", "RayCluster")
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", document["metadata"]["name"])
    cluster = cluster_of(document)
    assert re.fullmatch(r"2\.\d+\.\d+", cluster["rayVersion"]) and int(cluster["rayVersion"].split(".")[1]) >= 58
    check_pods(cluster["headGroupSpec"])
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    names = [group["groupName"] for group in cluster["workerGroupSpecs"]]
    assert names and len(set(names)) == len(names)
    for group in cluster["workerGroupSpecs"]:
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        check_pods(group)


def test_a_job_says_what_runs_and_ends() -> None:
    spec = read(FOLDER / "rayjob.yaml")["spec"]
    assert spec["entrypoint"].startswith("hcl extract ") and spec["shutdownAfterJobFinishes"] is True
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode") and spec["ttlSecondsAfterFinished"] > 0


def test_the_script_of_slurm_is_bash_and_its_directives_come_first() -> None:
    script = FOLDER / "slurm.sh"
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    directives = [number for number, line in enumerate(lines) if line.startswith("#SBATCH")]
    first_command = next(number for number, line in enumerate(lines) if line and not line.startswith("#"))
    assert directives and max(directives) < first_command
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=[\w:-]+)?", lines[number]) for number in directives)


def test_commands_of_ours_have_their_options() -> None:
    texts = [file.read_text(encoding="utf-8").replace("\\\n", " ") for file in FOLDER.iterdir()]
    commands = [words for text in texts for words in re.findall(r"hcl ((?:extract|embed|evaluate|crossval) .*)", text)]
    assert len(commands) >= 3
    for words in map(shlex.split, commands):
        command = main.commands[words[0]]
        known = {name for option in command.get_params(click.Context(command)) for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known
