"""What becomes of a request that fails: it is repeated with growing waits, then told in one line that shows no keys."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from hcl.extract.system.errors import InputError
from hcl.extract.system.places.location import SCHEMES

TRIES = 6  # after the first one, of a request that met a server error, a time-out or a cut connection
AGAIN = 3  # tries of all of that, where the connection fails
FIRST_WAIT, LONGEST_WAIT = timedelta(milliseconds=100), timedelta(seconds=15)  # between tries; it doubles
GIVEN_UP = timedelta(minutes=3)
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired", "InvalidToken"}
REFUSED = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthenticationFailed", "AuthorizationHeaderMalformed"}
RENEW = {
    "s3": "renew them, such as with: aws sso login, or set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
    "gs": "renew them, such as with: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "renew them, such as with: az login, or set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
KEYS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (public: AWS_SKIP_SIGNATURE=true)",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or run: az login",
}


@contextmanager
def told(place: object, scheme: str) -> Iterator[None]:
    """Turn what a request met into one line that shows no credentials; a missing object stays FileNotFoundError.

    Args:
        place: that was asked for
        scheme: of its URL

    Raises:
        InputError: if the bucket refuses or cannot be reached
        FileNotFoundError: if there is no such object
    """
    try:
        yield
    except FileNotFoundError as error:
        if _code(error) in ("NoSuchBucket", "ContainerNotFound"):
            raise one_line(place, scheme, error) from None
        raise FileNotFoundError(f"{place}: no such object") from None
    except Exception as error:
        if type(error).__module__.startswith(("obstore", "botocore", "boto3")) and not _is_answer(error):
            raise one_line(place, scheme, error) from None
        raise


def _is_answer(error: Exception) -> bool:
    """Whether an error is the answer to a conditional request, which its sender waits for."""
    return type(error).__name__ in ("AlreadyExistsError", "PreconditionError", "NotSupportedError", "NotModifiedError")


class BucketError(InputError):
    """A bucket refuses or cannot be reached, which says nothing of what it holds."""


class UnreachedError(BucketError):
    """The connection failed."""


def one_line(place: object, scheme: str, error: Exception) -> BucketError:
    """The one line; of what the server says, nothing but its code, since the rest may name keys."""
    code, text, kind = _code(error), str(error), type(error).__name__
    status = re.search(r"status code: (\d{3})", text)
    if code in EXPIRED:
        return BucketError(f"{place}: the credentials have expired ({code}); {RENEW[scheme]}")
    if code in ("NoSuchBucket", "ContainerNotFound"):
        return BucketError(f"{place}: no such bucket; make it, or correct its name")
    if code == "PermanentRedirect" or "301 Moved" in text or code == "IllegalLocationConstraintException":
        return BucketError(f"{place}: the bucket is in another region; set AWS_REGION to that of the bucket")
    if code in REFUSED or kind == "UnauthenticatedError" or "NoCredentials" in kind or "CredentialProvider" in text:
        return BucketError(f"{place}: the credentials are not accepted ({code or kind}); {KEYS[scheme]}")
    if kind == "PermissionDeniedError" or (status and status[1] == "403"):
        return BucketError(
            f"{place}: no permission ({code or 403}); ask for it, or name other credentials: {KEYS[scheme]}"
        )
    if status:
        return BucketError(
            f"{place}: the server answers {' '.join(filter(None, (status[1], code)))} again and again; try later"
        )
    if "error sending request" in text or "HTTP error" in text:
        why = "timed out" if "kind: Timeout" in text else "the connection fails"
        return UnreachedError(
            f"{place}: {SCHEMES[scheme]} cannot be reached ({why}); check the network and the endpoint"
        )
    return BucketError(f"{place}: {SCHEMES[scheme]} cannot be used ({kind}: {_plain_reason(text)}); check its settings")


def _code(error: BaseException) -> str:
    found = re.search(r"<Code>(\w+)</Code>", str(error))
    return found[1] if found else ""


def _plain_reason(text: str) -> str:
    """The first line of what obstore says, without what may be a key or a token."""
    line = (text.strip().splitlines() or [""])[0]
    return re.sub(r"[A-Za-z0-9+/=_%-]{16,}", "...", line)[:120]


def again(request: Callable[[], Any], place: object, scheme: str) -> Any:
    """Send a request, and repeat it where the connection fails.

    Obstore repeats what fails before an answer begins, and only what may be sent twice; here the rest is repeated.
    """
    wait = FIRST_WAIT.total_seconds()
    for left in reversed(range(AGAIN)):
        try:
            with told(place, scheme):
                return request()
        except InputError as error:
            if not left or not isinstance(error, UnreachedError):
                raise
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT.total_seconds())
    raise ValueError("no tries")
