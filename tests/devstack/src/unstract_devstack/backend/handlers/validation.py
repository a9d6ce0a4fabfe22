"""Field checks of request bodies, with the framework's texts."""

from collections.abc import Callable, Sequence
from typing import Any

from unstract_devstack.backend.wire import refuse

REQUIRED = "This field is required."


class FieldErrors:
    """Collects what is wrong with the fields of one body. A field that is wrong or absent is None."""

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

    def choice(self, name: str, choices: Sequence[str], *, required: bool = True) -> str | None:
        """One of the choices."""
        if required and name not in self.body:
            self.add(name, REQUIRED)
        value = self._present(name)
        if value is not None and value not in choices:
            self.add(name, f'"{value}" is not a valid choice.')
        return None if value is None else str(value)

    def whole(self, name: str, low: int = 0, high: int | None = None) -> int | None:
        """An integer in a range; text that is one counts."""
        number: int | None = self._parsed(name, lambda value: int(str(value)), "A valid integer is required.")
        if number is not None and number < low:
            self.add(name, f"Ensure this value is greater than or equal to {low}.")
        if number is not None and high is not None and number > high:
            self.add(name, f"Ensure this value is less than or equal to {high}.")
        return number

    def number(self, name: str) -> None:
        """A number that is not negative; text that is one counts."""
        number = self._parsed(name, float, "A valid number is required.")
        if number is not None and number < 0:
            self.add(name, "Ensure this value is greater than or equal to 0.")

    def text(self, name: str) -> str | None:
        """A string."""
        value = self._present(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            self.add(name, "Not a valid string.")
        return None if value is None else str(value)

    def _parsed(self, name: str, parse: Callable[[Any], Any], problem: str) -> Any:
        value = self._present(name)
        try:
            return None if value is None else parse(value)
        except (TypeError, ValueError):
            self.add(name, problem)
            return None

    def _present(self, name: str) -> Any:
        if name in self.body and self.body[name] is None:
            self.add(name, "This field may not be null.")
        return self.body.get(name)
