"""docs/methods.md lists every method with what its card says."""

import re
from pathlib import Path

from evenhand import registry
from evenhand.finetune.methods import LAYERS
from evenhand.finetune.modeling.adapt import METHODS

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_table_is_that_of_the_cards():
    rows = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if re.fullmatch(r"`\w+`", cells[0]) and len(cells) == 9:
            rows[cells[0].strip("`")] = cells[1:]
    assert list(rows) == list(registry.names(METHODS))
    for name, (title, trained, size, rate, merges, start, layers, _) in rows.items():
        info = registry.load(METHODS, name).INFO
        assert title == f"[{info.title}]({address(info.paper)})" if info.paper else title == info.title
        assert trained == info.trained.removesuffix(", and the classification head")
        assert size == (f"`{info.size}`" if info.size else "")
        assert float(rate) == info.learning_rate
        assert merges == ("yes" if info.merges else "-")
        assert start == ("yes" if info.identity_at_start else "no")
        adapts = hasattr(registry.load(METHODS, name).Config, "model_fields") and (
            "targets" in registry.load(METHODS, name).Config.model_fields
        )
        assert layers == ("" if not adapts else "all" if info.layers == LAYERS else ", ".join(info.layers))


def address(paper):
    return re.search(r"https://\S+?(?=[;,]|$)", paper)[0]
