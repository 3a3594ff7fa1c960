"""Servers on this machine for all tests of buckets, and a proxy before the one of S3 that fails.

That of the S3 protocol is moto's; what Google does otherwise stands before it; Azure's is Azurite, where installed.
"""

import importlib.util
import itertools
import shutil
import sys
import urllib.request
import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.system.places import connecting, failures

ROOT = Path(__file__).parents[2]
COUNTED = itertools.count()
NEED_NO_SERVER = ("test_location.py", "test_ahead.py")
VARIABLES = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_DEFAULT_REGION")
VARIABLES += (
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_APPLICATION_CREDENTIALS",
)
VARIABLES += ("AWS_SKIP_SIGNATURE", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "HTTP_PROXY", "http_proxy", "AWS_CONFIG_FILE")
CLOUDS = ("s3", "gs", "az")


def _loaded(file: Path) -> Any:
    """A module of a file that is in no package."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `each_cloud` on a bucket of each."""
    if metafunc.definition.get_closest_marker("each_cloud"):
        metafunc.parametrize("bucket", CLOUDS, indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, and say so, where the extra is not installed; what needs no server runs."""
    missing = [name for name in ("obstore", "boto3", "moto", "flask") if importlib.util.find_spec(name) is None]
    for item in items:
        if missing and Path(__file__).parent in item.path.parents and item.path.name not in NEED_NO_SERVER:
            item.add_marker(pytest.mark.skip(reason=f'needs {missing[0]}: pip install "hcl[cloud,test]"'))


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of the server."""
    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the server's own packages
        from moto.moto_server.threaded_moto_server import ThreadedMotoServer

        running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        running.start()
    yield running.get_host_and_port()[1]
    running.stop()


@pytest.fixture(scope="session")
def proxy(server: int) -> Iterator[Any]:
    """The proxy before the server; what it does is set by its `faults`."""
    module = _loaded(ROOT / "benchmarks" / "bucket_proxy.py")
    made = module.FaultyProxy(server)
    made.module = module
    yield made
    made.stop()


@pytest.fixture
def faults(proxy: Any) -> Iterator[Any]:
    """What goes wrong, which is nothing after the test."""
    proxy.faults = proxy.module.Faults()
    yield proxy.faults
    proxy.faults = proxy.module.Faults()


@pytest.fixture(scope="session")
def google(server: int, proxy: Any) -> Iterator[Any]:
    """Google's part, before the server."""
    made = _loaded(Path(__file__).parent / "gcs_server.py").GcsServer(server)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def azure() -> Iterator[Any]:
    """Azurite, which is not on the Python package index."""
    if shutil.which("azurite-blob") is None:
        pytest.skip("azurite-blob is not installed: npm install -g azurite")
    made = _loaded(Path(__file__).parent / "azure_server.py").AzureServer()
    yield made
    made.stop()


@pytest.fixture
def bucket(
    request: pytest.FixtureRequest, server: int, proxy: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[str]:
    """The URL of a fresh bucket, which the environment's credentials open: of S3 by way of the proxy, or as asked."""
    scheme, name = getattr(request, "param", "s3"), f"bucket-{next(COUNTED)}"
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if scheme == "az":
        served = request.getfixturevalue("azure")
        served.make_container(name)
        given = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": served.url}
    else:
        make_bucket(server, name)
        given = {"AWS_ACCESS_KEY_ID": "AKIAKEYOFTHETESTS", "AWS_SECRET_ACCESS_KEY": "secret-of-the-tests"}
        given |= {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": proxy.url}
        if scheme == "gs":
            given = {"STORAGE_EMULATOR_HOST": request.getfixturevalue("google").url}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(failures, "FIRST_WAIT", timedelta(milliseconds=2))
    monkeypatch.setattr(connecting, "TIME_OUT", timedelta(seconds=2))
    forget_connections()
    yield f"{scheme}://{name}"
    forget_connections()


def forget_connections() -> None:
    """Let the next request look at the environment anew."""
    connecting.bucket_store.cache_clear()
    connecting._session.cache_clear()


def make_bucket(port: int, name: str) -> None:
    """Make a bucket on the server."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method="PUT")
    urllib.request.urlopen(request).read()
