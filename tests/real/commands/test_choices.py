"""The lists that arguments are held against are those of the code."""

from typing import get_args

from real.calibrated import conditions, repair
from real.checkpoints.loading import FAMILIES
from real.commands import choices
from real.compress import FORMATS, torchao_formats
from real.experiments.training import ASSIGNMENTS, TrainingRecipe
from real.images import opening, references, torchvision_sets
from real.quality import feature_choice, measure
from real.running import DTYPES
from real.solvers import analytic
from real.solvers.by_name import NAMED as SOLVERS
from theory.calibration import sequential
from theory.forward.images import DEFAULT_BATCH
from theory.sampling import fit
from theory.sampling.fitted import PARTS
from theory.statistics.shrinkage import POLICIES


def test_choices_are_the_tables_of_the_code():
    precisions = get_args(TrainingRecipe.__annotations__["precision"])
    for listed, table in {
        choices.POLICIES: POLICIES,
        choices.CONDITIONS: get_args(conditions.ConditionKind),
        choices.DTYPES: DTYPES,
        choices.SOLVERS: SOLVERS,
        choices.FORMATS: (*FORMATS, *torchao_formats.NAMES),
        choices.AGAINST: repair.AGAINST,
        choices.FEATURES: feature_choice.CHOICES,
        choices.NETWORKS: ("digits", *ASSIGNMENTS),
        choices.PARTS: PARTS,
        choices.PRECISIONS: precisions,
        choices.FAMILIES: dict.fromkeys(family.name for family in FAMILIES),
        references.TORCHVISION_SETS: torchvision_sets.SETS,
    }.items():
        assert listed == tuple(table)
    kinds = {references.DIGITS, references.HUB, opening.FOLDER, *references.FILES}
    assert set(opening.OPENERS) == kinds | set(references.TORCHVISION_SETS)
    assert choices.ANALYTIC == analytic.NAME
    assert choices.BATCH_SIZE == DEFAULT_BATCH
    assert choices.LEAST_BUDGET == sequential.LEAST_IMAGES * sequential.PILOT_DRAWS
    assert choices.LEAST_SEEDS == measure.LEAST_SEEDS
    assert choices.LEAST_STARTS == fit.LEAST_STARTS
