#!/bin/sh
# launch/cluster/mpijob.yaml has the keys of an MPIJob, kubeflow.org/v2beta1 (manifests/base/kubeflow.org_mpijobs.yaml
# of kubeflow/mpi-operator), what it needs and nothing unknown, and starts what there is.  Needs Python with yaml: 77 without.
set -u
here=$(cd "$(dirname "$0")" && pwd)
python3 -c 'import yaml' 2>/dev/null || { echo "skipped: no Python with yaml"; exit 77; }
cd "$here/../.." && exec python3 - <<'END'
import os, yaml

job = yaml.safe_load(open("launch/cluster/mpijob.yaml"))
failed = []

def only(where, value, needed, known=""):
    for key in needed.split():
        if key not in value: failed.append(f"{where}: {key} is missing")
    for key in value:
        if key not in (needed + " " + known).split(): failed.append(f"{where}: {key} is unknown")

def is_whole(where, value, low):
    if type(value) is not int or value < low: failed.append(f"{where}: {value!r} is no whole number from {low} on")

only("the job", job, "apiVersion kind metadata spec")
if (job["apiVersion"], job["kind"]) != ("kubeflow.org/v2beta1", "MPIJob"): failed.append("another kind of object")
spec = job["spec"]
only("spec", spec, "mpiReplicaSpecs", "launcherCreationPolicy mpiImplementation runLauncherAsWorker runPolicy slotsPerWorker "
     "sshAuthMountPath")
slots = spec.get("slotsPerWorker", 1)
is_whole("slotsPerWorker", slots, 1)
policy = spec["runPolicy"]
only("runPolicy", policy, "", "activeDeadlineSeconds backoffLimit cleanPodPolicy managedBy schedulingPolicy suspend "
     "ttlSecondsAfterFinished")
is_whole("backoffLimit", policy["backoffLimit"], 0)
if policy["cleanPodPolicy"] not in ("Running", "All", "None"): failed.append(f"cleanPodPolicy {policy['cleanPodPolicy']}")
replicas = spec["mpiReplicaSpecs"]
only("mpiReplicaSpecs", replicas, "Launcher Worker")
for name, replica in replicas.items():
    only(name, replica, "replicas template", "restartPolicy")
    is_whole(f"{name}.replicas", replica["replicas"], 1)
    if replica.get("restartPolicy", "Never") not in ("Never", "OnFailure"): failed.append(f"{name}: restartPolicy")
    pod = replica["template"]["spec"]
    volumes = [volume["name"] for volume in pod.get("volumes", [])]
    for container in pod["containers"]:
        only(f"{name}.containers", container, "name image", "command args env lifecycle resources securityContext "
             "volumeMounts workingDir")
        if not all(type(word) is str for word in container["command"]): failed.append(f"{name}: words of the command")
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes: failed.append(f"{name}: no volume {mount['name']}")
if replicas["Launcher"]["replicas"] != 1: failed.append("more launchers than one")

command = replicas["Launcher"]["template"]["spec"]["containers"][0]["command"]
for word in command:
    if word.startswith("launch/") and not os.path.exists(word): failed.append(f"there is no {word}")
lanes = next(int(word.split("=")[1]) for word in command if word.startswith("train.lanes="))
if replicas["Worker"]["replicas"] * slots > lanes: failed.append("more workers than lanes")

print("\n".join("FAILED: " + line for line in failed) or "ok: the keys of an MPIJob, and what it starts is there")
raise SystemExit(1 if failed else 0)
END
