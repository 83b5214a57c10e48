"""``atmnet make-scenes``"""

from atmnet.data.write_scenes import write_scenes
from atmnet_cli.options import MakeScenesOptions


def run(options: MakeScenesOptions) -> int:
    """Write the scenes, and print the options to use them."""
    write_scenes(options)
    print(f"wrote {options.train} training and {options.val} validation scenes to {options.directory}")
    print(f"detection:    --data.source coco --data.root {options.directory}")
    print(f"segmentation: --data.source ade20k --data.root {options.directory}")
    return 0
