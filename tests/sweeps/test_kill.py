"""kill -9 before every write, sync, truncate, open and rename of every command that changes a vault."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import bulk, strace
from tests.support.daemon import PASSPHRASE, RECOVERY, CHEAP, Daemon, new_daemon
from tests.support.house import COMMANDS, MACHINE_KEY, House, attempt, judge, new_house
from tests.support.processes import ended
from tests.support.sweep import Report
from vaultd_client import ClientKey
from vaultd_client.errors import VaultClientError
