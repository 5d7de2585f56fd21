"""The networks behind the studio's face reader, and the judges."""

from mien.faces.networks.detector import Detector
from mien.faces.networks.embedder import IdentityEmbedder
from mien.faces.networks.expression import ExpressionEncoder
from mien.faces.networks.judges import JudgeAttributes, JudgeFace, JudgeGaze, JudgeIdentity
from mien.faces.networks.reader_net import StudioFaceNet

__all__ = [
    "Detector",
    "ExpressionEncoder",
    "IdentityEmbedder",
    "JudgeAttributes",
    "JudgeFace",
    "JudgeGaze",
    "JudgeIdentity",
    "StudioFaceNet",
]
