"""The model that timm returns for ``features_only=True``."""

from typing import TYPE_CHECKING, Any, cast

from timm.models._features import FeatureGetterNet

from atmnet.models._checkpoint import read_any_layout

if TYPE_CHECKING:
    from atmnet.models.atmnet import ATMNet


class FeatureMaps(FeatureGetterNet):
    """An ATMNet that returns the list of its stages' maps (B, C, H/s, W/s), s = 4, 8, 16, 32.

    In addition to timm's wrapper, it can switch gradient checkpointing and reads all checkpoints that an ATMNet reads.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register_load_state_dict_pre_hook(read_any_layout)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """See :meth:`ATMNet.set_grad_checkpointing`."""
        cast("ATMNet", self.model).set_grad_checkpointing(enable)
