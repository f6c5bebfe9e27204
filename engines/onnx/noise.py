"""Takes the random numbers out of an ONNX graph, so that results depend on the seed alone.

A VITS voice exported to ONNX draws its noise inside the graph with ``RandomNormalLike``, whose
state lives in the session: the same text sounds different depending on what was said before. Here
each such node is replaced by a graph input, and the noise is drawn outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

RANDOM_OPS = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}
NOISE_LENGTH = 2**18
"""Values per noise input. A node that needs more starts again at the first; at 192 channels and 86
frames a second that is after 16 s of one sentence. Drawing more would take a tenth of the time."""


def random_nodes(graph: GraphProto) -> list[str]:
    """Names of all nodes that draw random numbers, also inside loops and branches."""
    found = []
    for node in graph.node:
        if node.op_type in RANDOM_OPS:
            found.append(node.name or node.op_type)
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                found += random_nodes(inner)
    return found


def take_noise_out(model: ModelProto) -> list[str]:
    """Replace each ``RandomNormalLike`` of ``model`` by an input; return the inputs' names.

    Each input is float32 ``(NOISE_LENGTH,)`` standard normal noise; the node's mean and scale are
    applied inside. Raises ``ValueError`` when other random nodes remain.
    """
    from onnx import TensorProto, helper

    graph = model.graph
    names: list[str] = []
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type != "RandomNormalLike":
            nodes.append(node)
            continue
        name = f"noise_{len(names)}"
        names.append(name)
        nodes += _reading_from(name, node)
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [NOISE_LENGTH]))
    del graph.node[:]
    graph.node.extend(nodes)
    if left := random_nodes(graph):
        raise ValueError(f"the graph still draws random numbers in {', '.join(left)}")
    return names


def _reading_from(name: str, node: NodeProto) -> list[NodeProto]:
    """Nodes that fill the output of ``node`` with the input ``name``, cyclically, in its shape."""
    from onnx import TensorProto, helper

    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    source, result = node.input[0], node.output[0]

    def constant(key: str, value: float, kind: int) -> NodeProto:
        tensor = helper.make_tensor(f"{name}/{key}", kind, [], [value])
        return helper.make_node("Constant", [], [f"{name}/{key}"], value=tensor)

    def make(op: str, inputs: list[str], output: str, **options: Any) -> NodeProto:
        names = [item if item in (source, name) else f"{name}/{item}" for item in inputs]
        return helper.make_node(op, names, [f"{name}/{output}"], **options)

    made = [
        constant("zero", 0, TensorProto.INT64),
        constant("one", 1, TensorProto.INT64),
        constant("length", NOISE_LENGTH, TensorProto.INT64),
        constant("scale", attributes.get("scale", 1.0), TensorProto.FLOAT),
        constant("mean", attributes.get("mean", 0.0), TensorProto.FLOAT),
        make("Shape", [source], "shape"),
        make("Size", [source], "size"),
        make("Range", ["zero", "size", "one"], "count"),
        make("Mod", ["count", "length"], "index"),
        make("Gather", [name, "index"], "flat"),
        make("Reshape", ["flat", "shape"], "unit"),
        make("Mul", ["unit", "scale"], "scaled"),
        make("Add", ["scaled", "mean"], "shifted"),
        make("Cast", ["shifted"], "cast", to=attributes.get("dtype", TensorProto.FLOAT)),
    ]
    made[-1].output[0] = result
    return made


def draw(rng: np.random.Generator, names: list[str]) -> dict[str, np.ndarray]:
    """Noise for one run: an array ``(NOISE_LENGTH,)`` for each input name."""
    return {name: rng.standard_normal(NOISE_LENGTH, dtype=np.float32) for name in names}
