"""Checks of configuration values: a ValueError says what came and what was expected."""


def require_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError unless low <= value <= high."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}, expected {low} to {high}")


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raises ValueError unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(choices)}")


def require_widths(name: str, values: tuple[int, ...]) -> None:
    """Raises ValueError unless there is at least one width and each is 1 to 4096."""
    if not values or min(values) < 1 or max(values) > 4096:
        raise ValueError(f"{name} is {list(values)}, expected at least one number from 1 to 4096")
