"""``atmnet make-scenes``"""

from atmnet.data.write_scenes import write_scenes
from atmnet_cli.options import MakeScenesOptions
from atmnet_cli.printing import print_line


def run(options: MakeScenesOptions) -> int:
    """Write the scenes, and print the options to use them."""
    write_scenes(options)
    print_line(f"wrote {options.train} training and {options.val} validation scenes to {options.directory}")
    print_line(f"detection:    --data.source coco --data.root {options.directory}")
    print_line(f"segmentation: --data.source ade20k --data.root {options.directory}")
    return 0
