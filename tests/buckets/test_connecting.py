"""How a bucket is reached: credentials, regions and endpoints, what is repeated, and what is said where it fails."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from hcl.extract.system.errors import InputError
from hcl.extract.system.places import connecting, failures, objects
from hcl.extract.system.places.location import place_of

EXPIRED = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><AWSAccessKeyId>AKIAKEYOFTHETESTS</AWSAccessKeyId>"


def error_of(code: str, kind: str = "GenericError") -> Exception:
    """An error as obstore has it, of an answer with a code of the S3 protocol."""
    import obstore.exceptions

    body = f"<Error><Code>{code}</Code><Message>AKIAKEYOFTHETESTS</Message></Error>"
    error: Exception = getattr(obstore.exceptions, kind)(f"Server returned non-2xx status code: 400 Bad: {body}")
    return error


def test_what_fails_is_repeated_with_growing_waits(bucket: str, faults: Any) -> None:
    place = place_of(f"{bucket}/name")
    place.write_bytes(b"content")
    for fault in (500, 503, "cut", "stall"):
        faults.next.extend([fault, fault] if fault != "stall" else [fault])
        assert place.read_bytes() == b"content"
        faults.next.extend([fault] if fault != "stall" else [])
        place.write_bytes(b"content")
        assert not faults.next
    faults.next.extend(["cut answer", "cut answer"])
    large = bytes(range(256)) * 4000
    (place / "large").write_bytes(large)
    faults.next.extend(["cut answer", 503, "cut answer"])
    assert (place / "large").read_bytes() == large
    backoff = connecting.bucket_store("s3", place.parts[0]).retry_config["backoff"]  # type: ignore[index]
    assert backoff["base"] == 2 and backoff["max_backoff"] > backoff["init_backoff"]


@pytest.mark.parametrize("fault", [500, "cut"])
def test_what_goes_on_failing_is_told_in_one_line(bucket: str, faults: Any, fault: int | str) -> None:
    faults.next.extend([fault] * 100)
    with pytest.raises(InputError) as told:
        place_of(f"{bucket}/name").read_bytes()
    expected = "the server answers 500" if fault == 500 else "S3 cannot be reached (the connection fails)"
    assert f"{bucket}/name: {expected}" in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (("ExpiredToken",), "the credentials have expired (ExpiredToken); renew them, such as with: aws sso login"),
        (("InvalidAccessKeyId",), "the credentials are not accepted (InvalidAccessKeyId); set AWS_ACCESS_KEY_ID"),
        (("AccessDenied", "PermissionDeniedError"), "no permission (AccessDenied)"),
        (("NoSuchBucket",), "no such bucket; make it, or correct its name"),
        (("PermanentRedirect",), "the bucket is in another region; set AWS_REGION to that of the bucket"),
    ],
)
def test_what_the_server_refuses_is_named_without_keys(bucket: str, error: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as told, failures.told("s3://bucket/x", "s3"):
        raise error_of(*error)
    assert str(told.value).startswith("s3://bucket/x: ") and said in str(told.value)
    assert "AKIA" not in str(told.value) and "\n" not in str(told.value)
    assert told.value.__cause__ is None  # whose text has the key


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    with pytest.raises(InputError, match="s3://no-such-bucket/x: no such bucket"):
        place_of("s3://no-such-bucket/x").read_bytes()
    assert not place_of(f"{bucket}/x").exists()


def test_credentials_come_from_a_profile(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"):
        endpoint = os.environ[name]  # the last one's
        monkeypatch.delenv(name)
    folder = tmp_path / "home" / ".aws"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text("[work]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=secret\n")
    (folder / "config").write_text(f"[profile work]\nregion=eu-west-1\nendpoint_url={endpoint}\n")
    with pytest.raises(InputError, match="s3://.*: no credentials were found; set AWS_ACCESS_KEY_ID and"):
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        place_of(bucket).exists()
    monkeypatch.setenv("AWS_PROFILE", "wrong")
    with pytest.raises(InputError, match=r"s3://.*ProfileNotFound"):
        place_of(bucket).exists()
    connecting._session.cache_clear()
    monkeypatch.setenv("AWS_PROFILE", "work")
    place_of(f"{bucket}/x").write_bytes(b"1")
    assert objects.read(place_of(f"{bucket}/x")) == b"1"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_ENDPOINT_URL", None, "the bucket's region is not known, and is not guessed; set AWS_REGION"),
        ("AWS_ENDPOINT_URL", "http://minio.example.org:9000", "is not encrypted; expected https://"),
    ],
)
def test_neither_regions_nor_plain_connections_are_guessed(
    bucket: str, monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, said: str
) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv(variable, value) if value else monkeypatch.delenv(variable)
    with pytest.raises(InputError, match=said):
        place_of(f"{bucket}/x").exists()


@pytest.mark.parametrize(
    ("url", "given"),
    [
        ("gs://box/x", {"STORAGE_EMULATOR_HOST": "storage.example.org:4443"}),
        ("az://box/x", {"AZURE_STORAGE_ENDPOINT": "http://blob.example.org", "AZURE_STORAGE_ACCOUNT_NAME": "one"}),
        ("az://box/x", {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": "http://blob.example.org"}),
    ],
)
def test_no_other_cloud_is_reached_without_encryption(
    bucket: str, monkeypatch: pytest.MonkeyPatch, url: str, given: dict[str, str]
) -> None:
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=f"{url[:8]}: the endpoint http://.*example.org is not encrypted; expected"):
        place_of(url).exists()


def test_who_did_az_login_is_let_in_by_it(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = tmp_path / "azureProfile.json"
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "one")
    monkeypatch.setenv("PATH", str(tmp_path))
    command = tmp_path / "az"

    def asked() -> bool:
        connecting.bucket_store.cache_clear()
        return bool(connecting.bucket_store("az", "box").config.get("use_azure_cli"))  # type: ignore[union-attr]

    assert not asked()
    profile.write_text('\ufeff{"subscriptions": [{"id": "1"}]}', encoding="utf-8")
    assert not asked()  # the command is gone
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    assert asked()
    profile.write_text('{"subscriptions": []}')
    assert not asked()
    profile.write_text('{"subscriptions": [{"id": "1"}]}')
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert not asked()


@pytest.mark.each_cloud
@pytest.mark.parametrize("name", ["a b", "ü/ß.mp4", "100%", "a+b=c#d?e", "~x*", "quo'te\"s"])
def test_any_name_is_kept_as_it_is(bucket: str, name: str) -> None:
    place = place_of(bucket) / "folder" / name
    place.write_bytes(name.encode())
    assert place.read_bytes() == name.encode() and place.exists()
    assert [each.read_bytes() for each in place_of(f"{bucket}/folder").glob("**/*")] == [name.encode()]
    place.unlink()
    assert not place_of(f"{bucket}/folder").exists()


def test_a_forked_process_is_told_to_start_anew(bucket: str) -> None:
    import os

    place_of(f"{bucket}/x").write_bytes(b"1")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 and later, for any process with threads
        child = os.fork()
    if not child:
        try:
            place_of(f"{bucket}/x").read_bytes()
        except InputError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    assert b'such as by DataLoader(..., multiprocessing_context="spawn")' in os.read(reading, 1000)
    os.close(reading)
    assert place_of(f"{bucket}/x").read_bytes() == b"1"


@pytest.mark.each_cloud
def test_a_few_bytes_of_an_object_are_read(bucket: str) -> None:
    place = place_of(f"{bucket}/x")
    place.write_bytes(bytes(range(100)))
    assert objects.read_range(place, 10, 5) == bytes(range(10, 15))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="object x of 100 bytes, expected at most 99"):
        objects.read(place, most=99)  # type: ignore[arg-type]


@pytest.mark.each_cloud
def test_objects_that_are_gone_keep_no_other_from_being_deleted(bucket: str) -> None:
    places = [place_of(f"{bucket}/folder/{number}") for number in range(60)]
    for place in places[::3]:
        place.write_bytes(b"1")
    place_of(f"{bucket}/other").write_bytes(b"1")
    objects.delete(places)  # type: ignore[arg-type]
    assert [str(each) for each in place_of(bucket).glob("**/*")] == [f"{bucket}/other"]
