"""Git and DVC behind one door: what they raise becomes one line with a remedy."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ParamError

NO_GIT = (
    "this folder is no git repository with a commit, which holds the runs to compare: clone the project, or run "
    "`git init && git add -A && git commit -m start`"
)


def git(*words: str, at: Path = Path()) -> str:
    """Output of a git command.

    Raises:
        OSError, subprocess.CalledProcessError: there is no git, or it failed.
    """
    return subprocess.run(["git", *words], cwd=at, capture_output=True, text=True, check=True).stdout.strip()


def head_commit() -> str:
    """
    Raises:
        ParamError: no repository, or no commit in it.
    """
    try:
        return git("rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.CalledProcessError):
        raise ParamError(NO_GIT) from None


@contextmanager
def dvc_errors(what: str, *, remedy: str = "") -> Iterator[None]:
    """Errors of DVC in the block, as a ParamError about `what`.

    Raises:
        ParamError: DVC, or its data index, failed.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc_data.index import DataIndexError
    from scmrepo.exceptions import SCMError

    try:
        yield
    except NotDvcRepoError:
        raise ParamError(f"{what}: this folder is no DVC repository; clone the project, or run `dvc init`") from None
    except (DvcException, DataIndexError, SCMError) as error:
        words = " ".join(str(error).split()).rstrip(".")
        raise ParamError(f"{what}: {words}" + (f"; {remedy}" if remedy else "")) from None
