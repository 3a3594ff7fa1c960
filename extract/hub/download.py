"""Download a model of the hub; run as a process of its own, which can be ended in time whatever the network does."""

import sys

FILES = ["*.json", "*.txt", "*.model", "*.safetensors"]


def main(name: str, cache: str, only: str) -> None:
    """Download a model's files beside its config.json, or with only="config" that file alone, as a first hello."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    patterns = ["config.json"] if only == "config" else FILES
    try:
        snapshot_download(name, cache_dir=cache, allow_patterns=patterns, ignore_patterns=["*/*"], etag_timeout=5)
    except RepositoryNotFoundError:
        sys.exit("the model hub has no model of this name, or asks for a login")
    except LocalEntryNotFoundError:
        sys.exit("not in the local cache, and the model hub cannot be reached")
    except Exception as error:  # whatever it is, the parent shows it as the reason
        sys.exit(f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
