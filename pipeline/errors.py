"""What a person did wrong, said in one line."""

from data.errors import DataError
from features.errors import FeatureError
from heads.errors import HeadError


class ParamError(ValueError):
    """params.yaml or the command line asks for something impossible."""


BAD_INPUT = (ParamError, DataError, FeatureError, HeadError)
