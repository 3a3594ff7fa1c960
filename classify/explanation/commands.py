"""The command of explanation."""
import cloup


@cloup.command()
def explain() -> None:
    """."""
