"""Field checks of request bodies, with the framework's texts."""

from typing import Any

from unstract_devstack.backend.wire import refuse

REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."


class FieldErrors:
    """Collects what is wrong with the fields of one body."""

    def __init__(self, body: Any) -> None:
        if not isinstance(body, dict):
            text = f"Invalid data. Expected a dictionary, but got {type(body).__name__}."
            raise refuse(400, non_field_errors=[text])
        self.body: dict[str, Any] = body
        self._errors: dict[str, list[str]] = {}

    def add(self, name: str, text: str) -> None:
        """Note a problem."""
        self._errors.setdefault(name, []).append(text)

    def raise_any(self) -> None:
        """Refuse with 400 if there was a problem."""
        if self._errors:
            raise refuse(400, **self._errors)

    def choice(self, name: str, choices: tuple[str, ...], *, required: bool = True) -> str | None:
        """One of the choices."""
        value = self._present(name, required=required)
        if value is None:
            return None
        if value not in choices:
            self.add(name, f'"{value}" is not a valid choice.')
        return str(value)

    def number(self, name: str, *, low: float = 0, high: float | None = None, whole: bool = True) -> float | None:
        """A number in a range; text that is one counts."""
        value = self._present(name)
        if value is None:
            return None
        try:
            number = int(str(value)) if whole else float(value)
        except (TypeError, ValueError):
            self.add(name, "A valid integer is required." if whole else "A valid number is required.")
            return None
        if number < low:
            self.add(name, f"Ensure this value is greater than or equal to {low}.")
        if high is not None and number > high:
            self.add(name, f"Ensure this value is less than or equal to {high}.")
        return number

    def text(self, name: str) -> str | None:
        """A string."""
        value = self._present(name)
        if value is None:
            return None
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            self.add(name, "Not a valid string.")
            return None
        return str(value)

    def _present(self, name: str, *, required: bool = False) -> Any:
        if name not in self.body:
            if required:
                self.add(name, REQUIRED)
            return None
        if self.body[name] is None:
            self.add(name, NOT_NULL)
        return self.body[name]
