"""A cluster of one machine, with a Slurm of its own."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.experiments.launch.waiting import until

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
KillWait=2
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,sched_interval=1,bf_interval=1
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=urgent Nodes=ALL PriorityTier=2 State=UP
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start Slurm with two cores, and end it with all its jobs."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing or os.geteuid():
        pytest.skip(f"Slurm needs root and the Debian packages slurm-wlm and munge; missing here: {missing or 'root'}")
    folder = tmp_path_factory.mktemp("slurm")
    for name in "state", "spool":
        (folder / name).mkdir()
    key, munge, conf = folder / "key", folder / "munge.socket", folder / "slurm.conf"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    host = socket.gethostname().split(".")[0]
    conf.write_text(CONFIGURATION.format(folder=folder, host=host, ports=free_ports(2)))
    files = [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv("SLURM_CONF", str(conf))
        daemon(stack, "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge}", *files)
        until(munge.exists)
        daemon(stack, "slurmctld", "-D")
        daemon(stack, "slurmd", "-D", "-N", "node")
        until(lambda: subprocess.run(["sinfo", "-ho%T"], capture_output=True, text=True).stdout.strip() == "idle")
        yield
        subprocess.run(["scancel", "--user=root"])
        until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True, text=True).stdout)


def daemon(stack: ExitStack, *command: str) -> None:
    """Start a program that ends with the stack."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def free_ports(count: int) -> list[int]:
    """Return ports that no program uses."""
    sockets = [socket.socket() for _ in range(count)]
    for made in sockets:
        made.bind(("127.0.0.1", 0))
    ports = [made.getsockname()[1] for made in sockets]
    for made in sockets:
        made.close()
    return ports
