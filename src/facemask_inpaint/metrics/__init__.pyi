from ._newton_systems import ConvergenceError as ConvergenceError
from .accumulation import FeatureScore as FeatureScore
from .accumulation import FrechetInceptionDistance as FrechetInceptionDistance
from .accumulation import KernelInceptionDistance as KernelInceptionDistance
from .accumulation import (
    PairedInceptionDiscriminativeScore as PairedInceptionDiscriminativeScore,
)
from .accumulation import (
    UnpairedInceptionDiscriminativeScore as UnpairedInceptionDiscriminativeScore,
)
from .comparison.multiplicity import holm as holm
from .comparison.paired import PairedFrechet as PairedFrechet
from .comparison.results import Comparison as Comparison
from .comparison.results import FidDifference as FidDifference
from .comparison.results import OverallDifference as OverallDifference
from .comparison.significance import compare as compare
from .discriminative import DiscriminativeScore as DiscriminativeScore
from .discriminative import DiscriminativeScores as DiscriminativeScores
from .discriminative import discriminative_scores as discriminative_scores
from .discriminative import pids as pids
from .discriminative import uids as uids
from .evaluation import Evaluation as Evaluation
from .evaluation import evaluate as evaluate
from .extrapolation import ExtrapolatedResult as ExtrapolatedResult
from .extrapolation import fid_infinity as fid_infinity
from .faces.cards import FACE_NETWORKS as FACE_NETWORKS
from .faces.cards import FaceNetworkCard as FaceNetworkCard
from .faces.landmarks import landmarks as landmarks
from .faces.networks import embedder as embedder
from .faces.networks import landmark_finder as landmark_finder
from .faces.scores import identity as identity
from .features.custom import FeatureExtractor as FeatureExtractor
from .features.custom import custom as custom
from .features.extractors import InceptionExtractor as InceptionExtractor
from .features.extractors import open_extractor as open_extractor
from .features.perceptual import load_perceptual_distance as load_perceptual_distance
from .features.random_convolutions import random_convolutions as random_convolutions
from .features.reader import FeatureReader as FeatureReader
from .features.sets import FeaturePair as FeaturePair
from .features.sets import FeatureSet as FeatureSet
from .features.sets import FeatureSource as FeatureSource
from .features.statistics import FeatureStatistics as FeatureStatistics
from .features.vision_transformers import VisionTransformer as VisionTransformer
from .features.vision_transformers import (
    VisionTransformerExtractor as VisionTransformerExtractor,
)
from .frechet import StatisticsSource as StatisticsSource
from .frechet import fid as fid
from .frechet import frechet_distance as frechet_distance
from .ids_explanation import IdsExplanation as IdsExplanation
from .ids_explanation import explain_ids as explain_ids
from .inputs import MaskSource as MaskSource
from .kernel import KernelResult as KernelResult
from .kernel import cmmd as cmmd
from .kernel import kid as kid
from .metric import FeatureMetric as FeatureMetric
from .metric import ImageMetric as ImageMetric
from .neighbours import NeighbourScores as NeighbourScores
from .neighbours import precision_recall as precision_recall
from .pairs import ImagePair as ImagePair
from .pairs import PairedResult as PairedResult
from .pairs import PairReader as PairReader
from .pixel import l1 as l1
from .pixel import lpips as lpips
from .pixel import psnr as psnr
from .pixel import ssim as ssim
from .results import MetricResult as MetricResult
from .table import METRICS as METRICS
from .table import find_metric as find_metric
from .table import metric_rows as metric_rows
from .table import register as register
