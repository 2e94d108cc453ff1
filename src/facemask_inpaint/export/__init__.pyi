from .folders import ExportConfig as ExportConfig
from .folders import files_of as files_of
from .folders import is_exported as is_exported
from .label_graph import export_parser as export_parser
from .onnx_network import OnnxNetwork as OnnxNetwork
from .quantisation import quantise as quantise
from .writing import export_network as export_network
