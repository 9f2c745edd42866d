"""Words that depend on a number."""


def counted(number: int, noun: str) -> str:
    """Returns 1 crop, 1,200 crops, 2 studies."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
