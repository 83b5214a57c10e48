"""timm's ``features_only`` around an ATMNet."""

from typing import Any

from timm.models._features import FeatureGetterNet

from atmnet.models._checkpoint import read_any_layout


class FeatureMaps(FeatureGetterNet):
    """An ATMNet that returns the list of its stages' maps (B, C, H/s, W/s), s = 4, 8, 16, 32.

    Beyond timm's wrapper: it switches gradient checkpointing, and reads the checkpoints that the whole model reads.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.register_load_state_dict_pre_hook(read_any_layout)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        network: Any = self.model
        network.set_grad_checkpointing(enable)
