"""What a client is told where something is not done: a status and a sentence."""


class Refusal(Exception):
    """Raised wherever a request can't be answered as asked."""

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None) -> None:
        """Takes what is answered.

        Args:
            status: of HTTP.
            sentence: what came, what was expected, how to mend it.
            retry_after: seconds after which it may be tried again; None where that is of no use.
        """
        super().__init__(sentence)
        self.status, self.sentence, self.retry_after = status, sentence, retry_after


class Left(Exception):
    """Raised where nobody waits for an answer any more."""
