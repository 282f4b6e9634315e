"""Reads event files as TensorBoard itself does, by its plugin_event_accumulator, which also drops what a resumed run
trained again.

    check_tensorboard.py FOLDER

Prints a line a value, in the order of tags, so that a test can compare:

    scalars TAG STEP VALUE
    text TAG STEP TEXT                                      (line ends as \\n)
    histograms TAG STEP LEFT:RIGHT:COUNT LEFT:RIGHT:COUNT ...
"""
import logging
import sys

logging.getLogger("tensorboard").setLevel(logging.ERROR)

from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.util import tensor_util

KEEP_ALL = {plugin_event_accumulator.TENSORS: 0}
folder = plugin_event_accumulator.EventAccumulator(sys.argv[1], tensor_size_guidance=KEEP_ALL).Reload()


def show(plugin, value):
    if plugin == "scalars":
        return f"{value.item():.9g}"
    if plugin == "text":
        return value.ravel()[0].decode().replace("\n", "\\n")
    return " ".join(f"{left:.6g}:{right:.6g}:{count:g}" for left, right, count in value)


for plugin in ("scalars", "text", "histograms"):
    try:
        tags = folder.PluginTagToContent(plugin)
    except KeyError:
        continue
    for tag in sorted(tags):
        for event in folder.Tensors(tag):
            print(plugin, tag, event.step, show(plugin, tensor_util.make_ndarray(event.tensor_proto)))
