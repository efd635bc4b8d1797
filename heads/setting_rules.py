"""Which settings of a head work together, as two tables: what cannot work, and what would do nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from heads.errors import nearest_or_known

if TYPE_CHECKING:
    from heads.settings import HeadSettings

# Similarity is a cosine or a distance of embeddings.
Embedder = Literal["identity", "linear", "mlp", "residual", "pseudo_class", "membership"]
PairModel = Literal["pair_bc", "pair_mlp", "distance_logit"]  # similarity is the logit of a classifier of the pair
EMBEDDERS, PAIR_MODELS = get_args(Embedder), get_args(PairModel)
WITH_PROBABILITY = (*PAIR_MODELS, "pseudo_class")
WITH_HIDDEN = ("mlp", "residual", "pseudo_class", "membership", "pair_mlp", "distance_logit")
OF_LOGITS = ("bce", "triplet", "infonce", "supcon")  # a logit is no distance and no cosine
WITH_TEMPERATURE = ("infonce", "supcon", "cross_entropy")

# A margin is a distance for contrastive and a gap between similarities for triplet: one number cannot suit both.
MARGINS = {"contrastive": 0.7, "triplet": 0.2}

# `loss_args` of our own losses; those of pytorch-metric-learning take what their classes take, a function of your own
# what its signature has.
ARGUMENTS: dict[str, dict[str, float | bool]] = {
    # The mean over all negatives, as the MNIST plane and Omniglot reports have it; else over those inside the margin.
    "contrastive": {"every_negative": False},
}

Wrong = Callable[["HeadSettings"], bool]

# (what is wrong, why and what to do instead), in the order in which they are looked at.
CONFLICTS: tuple[tuple[Wrong, str], ...] = (
    (
        lambda s: bool(s.batch % s.images_per_group),
        "batch {s.batch} is not a multiple of images_per_group {s.images_per_group}",
    ),
    (
        lambda s: s.loss == "bce" and s.model not in WITH_PROBABILITY,
        "loss bce needs a probability of a pair, which model {s.model} does not give: choose model "
        "pair_bc, pair_mlp, distance_logit or pseudo_class",
    ),
    (
        lambda s: s.cosine_weight > 0 and (s.model in PAIR_MODELS or s.distance != "cosine"),
        "cosine_weight mixes two cosines: set distance to cosine and model to one that embeds, or cosine_weight to 0",
    ),
    (
        lambda s: s.model in ("pseudo_class", "membership") and s.distance != "cosine",
        "model {s.model} compares by cosine: set distance to cosine",
    ),
    (
        lambda s: s.model in PAIR_MODELS and s.loss not in OF_LOGITS,
        "loss {s.loss} cannot use the logits of model {s.model}: choose loss bce, triplet, infonce or supcon",
    ),
    (
        lambda s: s.of_library and s.distance != "cosine",
        "loss {s.loss} is made for cosines: set distance to cosine",
    ),
    (
        lambda s: not s.takes_negatives and s.negatives != "in_batch",
        "loss {s.loss} has no negatives to choose: set negatives to in_batch",
    ),
    (
        lambda s: s.margin is not None and s.of_library,
        "loss {s.loss} takes no margin here: set margin to null, loss_args to what its class takes",
    ),
    (
        lambda s: s.of_user and bool(s.features) and s.code == type(s).model_fields["code"].default,
        "loss {s.loss} is a function of your own: set code to its file, so that an edit trains again",
    ),
)

# key -> (whether it has an effect, and where in words). Elsewhere any value but the default is refused.
EFFECTS: dict[str, tuple[Wrong, str]] = {
    "hidden": (lambda s: s.model in WITH_HIDDEN, f"with model {', '.join(WITH_HIDDEN)}"),
    "dropout": (
        lambda s: s.model in WITH_HIDDEN and bool(s.hidden),
        "with hidden layers, as of mlp with hidden: [512]",
    ),
    "dim": (
        lambda s: s.model in ("linear", "mlp", "pseudo_class", "pair_mlp", "distance_logit"),
        "with model linear, mlp, pseudo_class, pair_mlp, distance_logit",
    ),
    "classifier": (lambda s: s.model in ("pair_bc", "pair_mlp"), "with model pair_bc, pair_mlp"),
    "cosine_weight": (lambda s: s.model != "identity", "with a model that learns"),
    "noise": (lambda s: s.model != "identity", "with a model that learns"),
    "distance": (lambda s: s.model not in PAIR_MODELS, "with a model that embeds"),
    "margin": (lambda s: s.loss in MARGINS, f"with loss {', '.join(MARGINS)}"),
    "margin_on": (lambda s: s.loss == "contrastive", "with loss contrastive"),
    "temperature": (
        lambda s: s.loss in WITH_TEMPERATURE or s.model == "membership",
        f"with loss {', '.join(WITH_TEMPERATURE)} or model membership",
    ),
    "relative_margin": (lambda s: s.negatives_kind == "offline", "with negatives offline:N"),
    "max_score": (lambda s: s.negatives_kind == "offline", "with negatives offline:N"),
    "components": (lambda s: s.transform == "whiten", "with transform whiten"),
    "whitening": (lambda s: s.transform == "whiten", "with transform whiten"),
    "code": (lambda s: s.of_user, "with a loss of your own, my_module:my_loss"),
    "ensemble": (lambda s: s.seeds > 1 and s.model != "identity", "with several seeds of a model that learns"),
}


def problem(settings: "HeadSettings") -> str | None:
    """Why the settings cannot work together, or which has no effect, and what to do: one line; None if all is well."""
    for wrong, message in CONFLICTS:
        if wrong(settings):
            return message.format(s=settings)
    for key, (has_effect, where) in EFFECTS.items():
        default = type(settings).model_fields[key].get_default()
        if getattr(settings, key) != default and not has_effect(settings):
            return f"{key} has an effect only {where}: set {key} to {_yaml(default)}"
    return _argument_problem(settings)


def _argument_problem(settings: "HeadSettings") -> str | None:
    if settings.of_library or settings.of_user:
        return None  # checked against the class or function when it is loaded
    known = ARGUMENTS.get(settings.loss, {})
    for name, value in settings.loss_args.items():
        if name not in known:
            return f"loss_args: {settings.loss} has no argument '{name}'; {nearest_or_known(name, known)}"
        if isinstance(known[name], bool) != isinstance(value, bool):
            kind = "true or false" if isinstance(known[name], bool) else "a number"
            return f"loss_args: {name} is {value!r}: give {kind}"
    return None


def _yaml(value: object) -> str:
    """As it is written in params.yaml."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return "[]" if value == () else str(value)
