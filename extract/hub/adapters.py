"""What different vision models give, laid out as maps: patch tokens, tubelet tokens, or maps already."""

from typing import Any

from torch import Tensor, nn

Grid = tuple[int, int]  # rows and columns of patches


class PatchTokens(nn.Module):
    """Patch tokens laid out as maps; class and register tokens stand before them and are dropped."""

    def __init__(self, model: Any, grid: Grid, resizes: bool) -> None:
        super().__init__()
        self.model, self.grid = model, grid
        self.options = {"interpolate_pos_encoding": True} if resizes else {}

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, size, size) -> (N, C, h, w)."""
        return self._laid_out(self.model(pixel_values=images, **self.options).last_hidden_state)

    def _laid_out(self, tokens: Tensor) -> Tensor:
        """(N, 1 + registers + P, C) -> (N, C, h, w)."""
        patches: Tensor = tokens[:, -self.grid[0] * self.grid[1] :].transpose(1, 2)  # (N, C, P)
        return patches.reshape(len(tokens), -1, *self.grid)


class PatchTokensBesideImage(PatchTokens):
    """Patch tokens as maps, and the embedding of the whole image in the space of the model's texts.

    It is the model's own: of CLIP the projected class token, of SigLIP what its attention pools. It does not follow
    from the patches.
    """

    def __init__(self, model: Any, grid: Grid, resizes: bool, projection: nn.Module) -> None:
        super().__init__(model, grid, resizes)
        self.projection = projection

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # both in one pass
        """(N, 3, size, size) -> (N, C, h, w) and (N, E)."""
        output = self.model(pixel_values=images, **self.options)
        return self._laid_out(output.last_hidden_state), self.projection(output.pooler_output)


class TubeletTokens(nn.Module):
    """Tokens of several frames each, laid out as a map for each time step; no other tokens stand among them.

    Args:
        model: takes (N, F, 3, size, size) and gives tokens in the order time, row, column
        steps: T, of time
        grid: of each step
    """

    def __init__(self, model: Any, steps: int, grid: Grid) -> None:
        super().__init__()
        self.model, self.steps, self.grid = model, steps, grid

    def forward(self, clips: Tensor) -> Tensor:
        """(N, F, 3, size, size) -> (N, T, C, h, w)."""
        tokens: Tensor = self.model(clips).last_hidden_state  # (N, T * P, C)
        return tokens.reshape(len(tokens), self.steps, *self.grid, -1).movedim(-1, 2)


class ModelMaps(nn.Module):
    """The last maps of a convolutional model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, size, size) -> (N, C, h, w)."""
        maps: Tensor = self.model(pixel_values=images).last_hidden_state
        return maps
