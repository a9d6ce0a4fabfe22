"""Which packages a change concerns, so that CI looks at those only."""

import re
from typing import Any

from attrs import frozen

from release_tool.packages import CORE, PACKAGES, WORKERS, Package
from release_tool.repository import Repository

__all__ = ["Changed", "changed_since"]

# What concerns no package: words, and what other jobs of CI look at by themselves.
WORDS = re.compile(r"^[^/]+\.md$|^LICENSE$|^\.editorconfig$|^\.gitignore$|^packages/[^/]+/(CHANGELOG|README)\.md$")
DEPLOYMENT = re.compile(r"^docker/|^tests/(images|deploy)")


@frozen
class Changed:
    """What a change touches. `packages` holds all that have to be tested: with core, its workers too."""

    packages: tuple[Package, ...]
    core: bool
    images: bool

    def as_json(self) -> dict[str, Any]:
        """What `changed --json` prints."""
        return {"packages": [each.name for each in self.packages], "core": self.core, "images": self.images}


def changed_since(repository: Repository, revision: str | None) -> Changed:
    """What differs from the commit where this branch left `revision`; all, if that commit is not known here."""
    base = None if revision is None else repository.commit(revision)
    if base is None:
        return Changed(PACKAGES, core=True, images=True)
    base = repository.git("merge-base", base, "HEAD")
    touched = [each for each in repository.lines("diff", "--name-only", base) if not WORDS.match(each)]
    beside = [each for each in touched if not DEPLOYMENT.match(each) and not each.startswith("packages/")]
    own = {each for each in PACKAGES if any(path.startswith(f"{each.folder}/") for path in touched)}
    if beside:
        # The development stack, the tools, the versions of CI: everything rests on them.
        return Changed(PACKAGES, core=True, images=True)
    if CORE in own:
        own.update(WORKERS)
    packages = tuple(each for each in PACKAGES if each in own)
    images = bool(packages) or any(DEPLOYMENT.match(each) for each in touched)
    return Changed(packages, core=CORE in own, images=images)
