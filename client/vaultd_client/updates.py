"""What an update changes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from vaultd_client.errors import invalid
from vaultd_client.fields import Built, build


def changed(
    resource: Callable[..., Built], paths: Sequence[str], changes: Mapping[str, Any], states: EnumTypeWrapper
) -> Built:
    """Returns a resource with the new values of an update.

    Raises:
        InvalidError: Nothing changes, or something that is none of `paths`; names the field.
    """
    unknown = {name: f"cannot be changed; there are {', '.join(paths)}" for name in changes if name not in paths}
    if unknown or not changes:
        raise invalid(unknown or {"update_mask": f"nothing to change; there are {', '.join(paths)}"})
    values = dict(changes)
    if "state" in values:
        state = f"STATE_{str(values['state']).upper()}"
        if state not in states.keys():  # noqa: SIM118 - the wrapper has no __contains__
            raise invalid({"state": "is no state; there are ACTIVE, DISABLED"})
        values["state"] = states.Value(state)
    return build(resource, **values)
