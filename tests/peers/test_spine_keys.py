"""Every key that SPINE's own classes take is known to the dialect's table (`pip install spine`, `make minkowski`)."""

import inspect
import re
from pathlib import Path

import pytest

from weft.bench.spine_setup import load_spine
from weft.config.dialects.rules import Source, walk
from weft.config.dialects.spine import SPINE
from weft.config.dialects.spine_build import canonical
from weft.config.loading import ConfigError
from weft.errors import WeftError

try:
    load_spine()
except WeftError as error:
    pytest.skip(str(error), allow_module_level=True)

import spine.model.full_chain.config as chain
from spine.construct.manager import BuildManager
from spine.math.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from spine.model.cnn.configuration import setup_cnn_configuration
from spine.model.cnn.encoder import SparseResidualEncoder
from spine.model.common.dbscan import DBSCAN
from spine.model.common.mlp import MLP
from spine.model.full_chain.label import ClusterLabelAdapter
from spine.model.graph_spice.constructor import ClusterGraphConstructor
from spine.model.graph_spice.embedder import GraphSPICEEmbedder
from spine.model.graph_spice.kernel import BilinearKernel, DefaultKernel, MLPKernel
from spine.model.graph_spice.loss import EdgeLoss
from spine.model.graph_spice.model import GraphSPICE, GraphSPICELoss
from spine.model.graph_spice.orphan import OrphanAssigner
from spine.model.grappa import graph, loss
from spine.model.grappa.encode.geometric import ClustGeoEdgeEncoder, ClustGeoNodeEncoder
from spine.model.grappa.encode.voxel import VoxelGeoNodeEncoder
from spine.model.grappa.message_passing import layers
from spine.model.grappa.message_passing.meta import MetaLayerGNN
from spine.model.grappa.model import GrapPA, GrapPALoss
from spine.model.spice.cluster import SPICEClusterer
from spine.model.spice.embedder import SPICEEmbedder
from spine.model.spice.loss import SPICELoss
from spine.model.uresnet.model import SegmentationLoss, UResNetSegmentation
from spine.model.uresnet.ppn.model import UResNetPPN, UResNetPPNLoss
from spine.model.uresnet.ppn.ppn import PPN, PPNLoss
from spine.post.factories import POST_DICT
from spine.utils.ppn import ParticlePointPredictor, PPNPredictor

pytestmark = pytest.mark.peer

NAMES = {"name"}
CNN = (setup_cnn_configuration,)
ENCODER = (*CNN, SparseResidualEncoder.__init__)
SINGLE = (loss.NodeClassLoss, loss.NodeShowerPrimaryLoss)
NODE_LOSSES = {
    "": SINGLE,
    "type.": (loss.NodeClassLoss,),
    "primary.": SINGLE,
    "orient.": (loss.NodeOrientLoss,),
    "momentum.": (loss.NodeRegressionLoss,),
    "vertex.": (loss.NodeVertexLoss,),
}
GRAPPA = {
    "": (GrapPA.process_model_config,),
    "nodes": (GrapPA.process_node_config,),
    "augment": (GrapPA.process_augment_config,),
    "graph": (*(getattr(graph, name).__init__ for name in graph.__all__), {"name", "provider", "group_by"}),
    "node_encoder": (*ENCODER, ClustGeoNodeEncoder.__init__, VoxelGeoNodeEncoder.__init__, NAMES),
    "node_encoder.geo_encoder": (ClustGeoNodeEncoder.__init__,),
    "node_encoder.cnn_encoder": ENCODER,
    "edge_encoder": (*ENCODER, ClustGeoEdgeEncoder.__init__, NAMES),
    "edge_encoder.cnn_encoder": ENCODER,
    "gnn_model": (GrapPA.process_gnn_config, MetaLayerGNN.__init__, NAMES),
    "gnn_model.edge_layer": (layers.MLPEdgeLayer.__init__, NAMES),
    "gnn_model.edge_layer.mlp": (MLP.__init__,),
    "gnn_model.node_layer": (
        *(
            getattr(layers, name).__init__
            for name in ("MLPNodeLayer", "NNConvNodeLayer", "EConvNodeLayer", "GATConvNodeLayer", "AGNNConvNodeLayer")
        ),
        NAMES,
    ),
    "gnn_model.node_layer.mlp": (MLP.__init__,),
    "gnn_model.node_layer.message_mlp": (MLP.__init__,),
    "gnn_model.node_layer.aggr_mlp": (MLP.__init__,),
}
#: What other parts of SPINE give its classes, which no file does.
GIVEN = {
    *("self", "args", "kwargs", "_kwargs", "backbone", "cfg", "base", "loss_fn", "in_channels", "node_in", "edge_in"),
    *("glob_in", "kernel_fn", "training", "gnn_model_", "identifier", "tracker", "ppn_pred_cfg", "gnn_model"),
}


def arguments(*taken):
    found = set()
    for one in taken:
        one = one.__init__ if inspect.isclass(one) else one
        found |= one if isinstance(one, set) else set(inspect.signature(one).parameters)
    return found - GIVEN


def blocks():
    """The blocks of a configuration, and the keys that SPINE's classes take there."""
    modules = "model.modules"
    for at in ("uresnet", "uresnet_ppn.uresnet"):
        yield f"{modules}.{at}", arguments(*CNN, UResNetSegmentation.process_model_config)
    for at in ("uresnet_loss", "uresnet_ppn_loss.uresnet_loss"):
        yield f"{modules}.{at}", arguments(SegmentationLoss.process_loss_config)
    for at in ("ppn", "uresnet_ppn.ppn"):
        yield f"{modules}.{at}", arguments(PPN._parse_model_config)
    for at in ("ppn_loss", "uresnet_ppn_loss.ppn_loss"):
        yield f"{modules}.{at}", arguments(PPNLoss._parse_loss_config)
    network, judge = arguments(UResNetPPN), arguments(UResNetPPNLoss)
    yield f"{modules}.uresnet_ppn", network
    yield f"{modules}.uresnet_ppn_loss", judge - network
    yield modules, judge
    yield f"{modules}.spice", arguments(SPICEEmbedder, {"make_clusters", "clusterer"})
    yield f"{modules}.spice.uresnet", arguments(*CNN)
    yield f"{modules}.spice.clusterer", arguments(SPICEClusterer) - {"shapes"}
    yield f"{modules}.spice_loss", arguments(SPICELoss.process_loss_config)
    yield f"{modules}.graph_spice", arguments(GraphSPICE.process_model_config)
    yield f"{modules}.graph_spice.embedder", arguments(GraphSPICEEmbedder, GraphSPICEEmbedder.process_model_config)
    yield f"{modules}.graph_spice.embedder.uresnet", arguments(*CNN)
    yield f"{modules}.graph_spice.kernel", arguments(DefaultKernel, BilinearKernel, MLPKernel, NAMES)
    yield f"{modules}.graph_spice.kernel.mlp", arguments(MLP)
    yield f"{modules}.graph_spice.constructor", arguments(ClusterGraphConstructor) - {"shapes", "invert"}
    yield f"{modules}.graph_spice.constructor.graph", {"name", "r", "k", "loop", "max_num_neighbors"}
    orphans = arguments(OrphanAssigner, RadiusNeighborsClassifier, KNeighborsClassifier)
    yield f"{modules}.graph_spice.constructor.orphan", orphans
    yield f"{modules}.graph_spice_loss", arguments(GraphSPICELoss.process_loss_config, EdgeLoss, NAMES)
    yield f"{modules}.dbscan", arguments(DBSCAN)
    yield f"{modules}.dbscan.ppn_predictor", arguments(PPNPredictor)
    for module in ("grappa", "grappa_shower", "grappa_track", "grappa_particle", "grappa_inter"):
        for at, taken in GRAPPA.items():
            yield f"{modules}.{module}.{at}".rstrip("."), arguments(*taken)
        yield f"{modules}.{module}_loss", arguments(GrapPALoss.process_loss_config)
        yield f"{modules}.{module}_loss.edge_loss", arguments(loss.EdgeChannelLoss, NAMES)
        for head, taken in NODE_LOSSES.items():
            yield f"{modules}.{module}_loss.node_loss.{head}".rstrip("."), arguments(*taken, NAMES)
    modes = set(re.findall(r'config\.get\("(\w+)"', inspect.getsource(chain._legacy_chain_plan)))
    yield f"{modules}.chain", modes | {"inputs"}
    yield f"{modules}.predict_points", arguments(ParticlePointPredictor)
    yield f"{modules}.adapt_labels", arguments(ClusterLabelAdapter)
    used = set(re.findall(r'modules\.get\("(\w+)"', inspect.getsource(chain)))
    yield modules, used
    yield "build", arguments(BuildManager)
    for name, processor in POST_DICT.items():
        yield f"post.{processor.name}", arguments(processor) | {"priority"}
        if name != processor.__name__:  # a class can be named there too, which no file does
            yield "post", {name}


BLOCKS = list(blocks())


def known(key, document=None):
    """Whether a table has a word on a key."""
    for name in reversed(key.split(".")):
        document = {name: document}
    try:
        return bool(list(walk(document, SPINE.table, Source(Path("f.yaml"), document))))
    except ConfigError:
        return False


def test_there_are_classes_to_ask():
    assert len(BLOCKS) > 100
    assert sum(len(keys) for _, keys in BLOCKS) > 700
    assert not known("model.modules.spice.no_such_key")


@pytest.mark.parametrize(("block", "keys"), BLOCKS, ids=[block for block, _ in BLOCKS])
def test_every_key_is_known_to_the_table(block, keys):
    parts = block.split(".")
    at = ".".join([parts[0], canonical(parts[1])]) if parts[0] == "post" and len(parts) > 1 else block
    missing = [key for key in sorted(keys) if not known(f"{at}.{canonical(key) if at == 'post' else key}")]
    assert not missing
