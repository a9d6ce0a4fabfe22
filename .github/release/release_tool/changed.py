"""Which packages a change concerns, so that CI looks at those only."""

import re
from typing import Any

from attrs import frozen

from release_tool.packages import CORE, PACKAGES, Package
from release_tool.repository import ReleaseError, Repository

DOCUMENT = re.compile(
    r"\.md$|^LICENSE$|^\.editorconfig$|^\.gitignore$|^\.github/(CODEOWNERS|dependabot\.yml|ISSUE_TEMPLATE/)"
)
DEPLOYMENT = re.compile(r"^docker/|^tests/(images|deploy|scaling)/")
# Tests of several processes: no wheel is tested with them.
BESIDE = re.compile(r"^tests/(?!devstack/|release/)|^\.ci/")


@frozen
class Changed:
    """The extent of a change.

    Attributes:
        packages: the packages whose wheels have to be tested: with core, its workers too.
        images: whether the images or the manifests are concerned.
        code: whether anything but documents is.
    """

    packages: tuple[Package, ...]
    images: bool
    code: bool

    def as_json(self) -> dict[str, Any]:
        """What `changed` prints."""
        names = [each.name for each in self.packages]
        return {"packages": names, "core": CORE.name in names, "images": self.images, "code": self.code}


def changed_since(repository: Repository, revision: str | None) -> Changed:
    """What differs from the commit where this branch left `revision`; all without one.

    A whole hash that this clone does not hold is none: a new branch has zeros, a forced push leaves its base behind.

    Raises:
        ReleaseError: `revision` is a name, and names no commit here.
    """
    base = repository.commit(revision) if revision else None
    if base is None:
        if revision and not re.fullmatch("[0-9a-f]{40}", revision):
            raise ReleaseError(f"--since {revision}: there is no such commit or branch in this clone: fetch it first")
        return Changed(PACKAGES, images=True, code=True)
    base = repository.git("merge-base", base, "HEAD")
    touched = [each for each in repository.lines("diff", "--name-only", base) if not DOCUMENT.search(each)]
    if not all(each.startswith("packages/") or DEPLOYMENT.match(each) or BESIDE.match(each) for each in touched):
        # The development stack, the tools, the versions of CI: everything rests on them.
        return Changed(PACKAGES, images=True, code=True)
    own = {each for each in PACKAGES if any(path.startswith(f"{each.folder}/") for path in touched)}
    packages = PACKAGES if CORE in own else tuple(each for each in PACKAGES if each in own)
    images = bool(packages) or any(DEPLOYMENT.match(each) for each in touched)
    return Changed(packages, images=images, code=bool(touched))
