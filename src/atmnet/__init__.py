"""Active Token Mixer: backbones that look anywhere in the image, per channel, at almost no cost.

Importing this package registers the ``atmnet_*`` models with timm.
"""

from atmnet import models as models

__version__ = "0.1.0"
