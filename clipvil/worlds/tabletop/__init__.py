"""The embedded world `tabletop`: small things on a table, and houses where they stand on poles.

`write` makes the official files. For pre-training, `scene.sample` and `scene.group` draw scenes,
`draw.render` makes pixels of them and `describe.captions` tells what is there.
"""

from clipvil.worlds.tabletop.write import check, write

__all__ = ["check", "write"]
