"""The commands."""

import click


@click.group()
def main() -> None:
    """Few-shot action recognition from cached frame maps."""
