"""What a call is refused with."""

from collections.abc import Callable
from typing import Any

import pytest

from vaultd_client import VaultClientError


def refused(call: Callable[..., object], *arguments: Any, **options: Any) -> VaultClientError:
    """Makes a call that must be refused; returns the error."""
    with pytest.raises(VaultClientError) as caught:
        call(*arguments, **options)
    return caught.value
