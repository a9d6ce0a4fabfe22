"""How a setting is declared, once, at its field, with everything about its variable; and how it is read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from attrs import NOTHING, Attribute, AttrsInstance, define, evolve, field, fields, frozen

from unstract_worker_core.config.parsers import Parser, Secret, secret, signing_secret
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.statuses import WorkerType

_VALUE = r"""(?:"([^"]*)"|'([^']*)'|([^"'#]*?))"""
_LINE = re.compile(rf"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*{_VALUE}\s*(?:\s#.*)?")
T = TypeVar("T", bound=AttrsInstance)
_SECRET_FILE_LIMIT = 64 * 1024


@frozen
class Declaration:
    """The environment variables of one field.

    Attributes:
        names: the first that is set wins; may contain ``{TYPE}`` (worker type) and ``{PREFIX}`` (section).
        parse: makes the value of the text, or raises ValueError.
        purpose: what it is for, in the reference.
        secret: whether the value is kept out of sight and may come from a file (``X_FILE``).
        shown: the default as the reference prints it, where it is computed.
        development: default in development, where it differs.
        per_worker: defaults by worker type, where they differ.
    """

    names: tuple[str, ...]
    parse: Parser
    purpose: str
    secret: bool = False
    shown: str = ""
    development: object = None
    per_worker: Mapping[WorkerType, object] = field(factory=dict)

    def names_with(self, prefix: str) -> tuple[str, ...]:
        """The names in a section with this prefix."""
        return tuple(name.replace("{PREFIX}", prefix) for name in self.names)


def env(
    names: str,
    parse: Parser,
    purpose: str,
    *,
    default: object = NOTHING,
    holds_secret: bool = False,
    shown: str = "",
    development: object = None,
    per_worker: Mapping[WorkerType, object] | None = None,
) -> Any:
    """A field that is read from the environment.

    Args:
        names: of the variables, separated by spaces.
        default: a value or an attrs Factory; without one the variable is required.
        holds_secret: for a parser whose value contains a secret without being one.
    """
    declaration = Declaration(
        tuple(names.split()),
        parse,
        purpose,
        holds_secret or parse in (secret, signing_secret),
        shown,
        development,
        per_worker or {},
    )
    return field(default=default, metadata={"env": declaration})


def celery(setting: str) -> str:
    """The names of a setting of Celery: for one worker type, and for all."""
    return f"{{TYPE}}_{setting} CELERY_{setting}"


def declarations(cls: Any) -> tuple[tuple["Attribute[Any]", Declaration], ...]:
    """The declared fields of a section, in their order."""
    return tuple((attribute, attribute.metadata["env"]) for attribute in fields(cls) if "env" in attribute.metadata)


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables of a `.env` file, none without a file. Raises ConfigurationError naming the lines."""
    if not path.exists():
        return {}
    found, faults = {}, []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            faults.append(Fault(f"{path.name} line {number}", "is not NAME=value"))
        else:
            found[match[1]] = next(text for text in match.groups()[1:] if text is not None)
    if faults:
        raise ConfigurationError(tuple(faults))
    return found


@define
class Reader:
    """Reads sections of the settings for one worker type. Faults name variables, never values."""

    environ: Mapping[str, str]
    worker: WorkerType
    development: bool
    faults: list[Fault] = field(factory=list)

    def fault(self, variable: str, problem: str) -> None:
        """Record a fault."""
        self.faults.append(Fault(variable, problem))

    def is_set(self, *variables: str) -> bool:
        """Whether one of the variables is set to something."""
        return any(self.environ.get(variable) for variable in variables)

    def section(self, cls: type[T], prefix: str = "", *, fallback: T | None = None) -> T:
        """A section: values that are set, defaults for the others, nothing for required ones that are missing.

        Args:
            prefix: takes the place of ``{PREFIX}`` in the variables' names.
            fallback: gives what is not set, field by field, instead of the defaults.
        """
        values = self.values(cls, prefix)
        if fallback is None:
            return cls(**values)
        return evolve(fallback, **values)  # type: ignore[misc]

    def values(self, cls: type[AttrsInstance], prefix: str = "") -> dict[str, object]:
        """Values by field name of what is set for a section, or has a default that depends on the process."""
        values: dict[str, object] = {}
        for attribute, declaration in declarations(cls):
            value = self._value(declaration, prefix)
            if value is not None:
                values[attribute.name] = value
            elif attribute.default is NOTHING:
                # The fault below prevents the settings from being used; the rest is still checked.
                values[attribute.name] = Secret("") if declaration.secret else ""
                self._missing(*self._names(declaration, prefix))
        return values

    def _names(self, declaration: Declaration, prefix: str) -> tuple[str, ...]:
        kind = self.worker.value.upper()
        return tuple(name.replace("{TYPE}", kind) for name in declaration.names_with(prefix))

    def _missing(self, *names: str) -> None:
        if not any(fault.variable.removesuffix("_FILE") in names for fault in self.faults):
            self.fault(names[0], "is empty" if names[0] in self.environ else "is required")

    def _value(self, declaration: Declaration, prefix: str) -> object:
        for name in self._names(declaration, prefix):
            source, text = self._text(name, may_be_file=declaration.secret)
            if not text:
                continue
            if text != text.strip():
                self.fault(source, "has leading or trailing whitespace")
                return None
            try:
                return declaration.parse(text)
            except ValueError as error:
                problem = str(error)
            self.fault(source, problem)
            return None
        if self.development and declaration.development is not None:
            return declaration.development
        return declaration.per_worker.get(self.worker)

    def _text(self, name: str, *, may_be_file: bool) -> tuple[str, str]:
        """The variable that gave the text, and the text; empty where nothing did."""
        text, source = self.environ.get(name, ""), f"{name}_FILE"
        path = self.environ.get(source, "") if may_be_file else ""
        if not path:
            return name, text
        if text:
            self.fault(source, f"is set while {name} is set as well; keep one of them")
            return source, ""
        return source, self._secret_file(source, Path(path))

    def _secret_file(self, source: str, path: Path) -> str:
        try:
            with path.open("rb") as file:
                text = file.read(_SECRET_FILE_LIMIT + 1).decode().rstrip()
        except (OSError, ValueError) as error:
            self.fault(source, f"names a file that cannot be read ({type(error).__name__})")
            return ""
        if not text or len(text) > _SECRET_FILE_LIMIT:
            self.fault(source, "names a file that is empty" if not text else "names a file that is too long")
            return ""
        return text
