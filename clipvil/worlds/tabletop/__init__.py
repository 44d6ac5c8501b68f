"""The embedded world `tabletop`: small things on a table, as official files or in memory.

`write` makes the official files. For pre-training, `scene.sample` and `scene.group` draw scenes,
`draw.render` makes pixels of them and `describe.captions` tells what is there.
"""

from clipvil.worlds.tabletop.write import write

__all__ = ["write"]
