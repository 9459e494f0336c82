"""`vaultctl run`: a bot gets its keys as a client of its own."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import platformdirs

from vaultd_client import paths, references
from vaultd_client.bots import launcher
from vaultd_client.bots.launcher import Descriptor, Environment, Feed
from vaultd_client.bots.order import Order, Profile, has_place, need_place
from vaultd_client.bots.profiles import PROFILES
from vaultd_client.cli.completion import EXCHANGE
from vaultd_client.cli.exit_codes import ExitCode
from vaultd_client.cli.failure import Failure
from vaultd_client.cli.parsing import Half
from vaultd_client.cli.session import Command, Session
