"""Real image networks: load, calibrate, validate, sample, report.

    from real import load, attach

The rooms, from the ground up; each imports only those before it: files, families, compress,
checkpoints, running, images, solvers, calibrated, quality, reports, experiments, commands.

Names are loaded when they are first asked for, so that the program answers at once.
"""

from theory import __version__ as __version__
from theory.support.public_names import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Checkpoint": "real.families.checkpoint",
        "attach": "real.calibrated.drop_in",
        "calibrate_checkpoint": "real.calibrated.calibrate",
        "fitted_scheduler": "real.calibrated.fitted_scheduler",
        "from_pretrained": "real.calibrated.drop_in",
        "load": "real.checkpoints.loading",
        "open_images": "real.images.opening",
        "push_to_hub": "real.calibrated.drop_in",
        "restored": "real.compress.repaired_folder",
        "sample": "real.solvers.sampling",
        "save_pretrained": "real.calibrated.drop_in",
    },
)
